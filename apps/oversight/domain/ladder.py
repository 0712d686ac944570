"""Whom to call when a question waits too long: the rungs of its contract's ladder, and the last.

Rungs are numbered from 0 in the order of the ladder. Three more stand above it: ``OVERDUE`` of a
contract that says ``on_timeout: escalate``, the admins, whom a person may call when the ladder
has no rung left, and ``UNDECIDABLE``: the admins again, since nobody may decide it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.domain.roles import Role

# The words that a contract may write, with the roles of people that they call. The lead is whoever
# leads a team that decides the request; where nobody does, whoever may act above the operators.
CALLED: dict[str, Role] = {
    "operators": Role.OPERATOR,
    "lead": Role.ADMIN,
    "product_managers": Role.PRODUCT_MANAGER,
    "admins": Role.ADMIN,
}
WORDS = {"lead": "the lead", "product_managers": "product managers"}
LAST_RESORT = "admins"
LEAD = "lead"  # the word, and what stands for a role where such a lead was called
OVERDUE, BEYOND, UNDECIDABLE = 900, 901, 902
NOTE_MOST = 500


@dataclass(frozen=True, slots=True)
class Rung:
    """One call: who, and at which share of the window. ``at`` is 1 when the window has passed."""

    number: int
    at: float
    to: str

    @property
    def role(self) -> str:
        return role_of(self.to)

    @property
    def words(self) -> str:
        return words_of(self.to)


def role_of(to: str) -> str:
    """The role that a word calls. A word of an old contract that nobody knows calls the admins:
    better somebody than nobody."""
    return str(CALLED.get(to, CALLED[LAST_RESORT]))


def words_of(to: str) -> str:
    """The word as a sentence says it."""
    return WORDS.get(to, to.replace("_", " "))


def rungs(written: Sequence[Mapping[str, Any]], *, stays_open: bool) -> list[Rung]:
    """Every rung that the clock climbs. ``stays_open``: the question outlives its window, which is
    then the last rung, to whom the ladder ends at. Never raises: a rung that can't be read calls
    the admins at once, as a word does that nobody knows."""
    found = [_rung(n, r) for n, r in enumerate(written if isinstance(written, list) else ())]
    last = found[-1].to if found else LAST_RESORT
    return [*found, Rung(OVERDUE, 1.0, last)] if stays_open else found


def _rung(number: int, written: Any) -> Rung:
    """A question keeps the ladder of the contract it was asked under, however old that is."""
    entry = written if isinstance(written, Mapping) else {}
    at, to = entry.get("at"), entry.get("to")
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= 1:
        return Rung(number, 0.0, LAST_RESORT)
    return Rung(number, float(at), to if isinstance(to, str) and to else LAST_RESORT)


def moment(rung: Rung, asked_at: datetime, due_at: datetime) -> datetime:
    """When the clock reaches a rung."""
    return asked_at + (due_at - asked_at) * rung.at


def reached(
    ladder: Sequence[Rung],
    climbed: Collection[int],
    *,
    asked_at: datetime,
    due_at: datetime,
    now: datetime,
) -> list[Rung]:
    """The rungs that are due and were not climbed yet, lowest first."""
    left = [r for r in ladder if r.number not in climbed]
    return [r for r in left if moment(r, asked_at, due_at) <= now]


def next_moment(
    ladder: Sequence[Rung], climbed: Collection[int], *, asked_at: datetime, due_at: datetime
) -> datetime | None:
    """When the sweep has to look again; nothing when the clock has climbed all."""
    left = [moment(r, asked_at, due_at) for r in ladder if r.number not in climbed]
    return min(left, default=None)


def next_by_hand(
    written: Sequence[Mapping[str, Any]], climbed: Collection[int], called: Collection[str]
) -> Rung | None:
    """The rung that a person may climb now: the next of the ladder, then the admins unless somebody
    of their role was called already. ``called`` holds roles."""
    for rung in rungs(written, stays_open=False):
        if rung.number not in climbed:
            return rung
    last = Rung(BEYOND, 1.0, LAST_RESORT)
    return None if last.role in called else last


def comes_first(role: str, asked: Collection[str], *, by_hand: bool) -> bool:
    """Whether the question goes to the top for the people who were called. By the clock it does
    not for those who were asked from the beginning: the order by due time brings it up for them,
    and a short window without a ladder must not starve below long ones with one."""
    return by_hand or role not in asked
