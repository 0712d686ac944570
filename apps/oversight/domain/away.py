"""Who is away, and who stands in: chains of stand-ins, how far they reach, and what may be planned.

To stand in gives nobody a right. Whoever does decides by their own role, hears of what the absent
person would be called about, and can't approve what that person couldn't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = timedelta(days=90)
AHEAD = timedelta(days=365)
LINKS = 3  # of a chain: a stand-in, theirs, and theirs
PLANNED_MOST = 10  # of one person, begun or to come
REASON_MOST = 200


@dataclass(frozen=True, slots=True)
class TimeAway:
    """One person's time away: from ``begins_at`` until before ``ends_at``. People are their ids."""

    person: int
    begins_at: datetime
    ends_at: datetime
    stand_in: int | None = None

    def covers(self, moment: datetime) -> bool:
        """Whether the person is away then."""
        return self.begins_at <= moment < self.ends_at

    def meets(self, since: datetime, until: datetime) -> bool:
        """Whether the person is away at some moment of this time."""
        return max(self.begins_at, since) < min(self.ends_at, until)


@dataclass(frozen=True, slots=True)
class PlanFault:
    """Why a time away can't be as it was asked for: the field, and a sentence."""

    field: str
    sentence: str


def away_at(times: Sequence[TimeAway], moment: datetime) -> dict[int, int | None]:
    """Whoever is away then, with whom they named to stand in."""
    return {one.person: one.stand_in for one in times if one.covers(moment)}


def stand_in_of(person: int, away: Mapping[int, int | None]) -> int | None:
    """Who is there in a person's stead: themselves where they are not away, else their stand-in, or
    the stand-in's. Nobody where the chain ends, has more than ``LINKS`` links, or runs in a
    circle."""
    met: set[int] = set()
    at: int | None = person
    while at is not None and at not in met and len(met) <= LINKS:
        if at not in away:
            return at
        met.add(at)
        at = away[at]
    return None


def stood_in_for(person: int, away: Mapping[int, int | None]) -> frozenset[int]:
    """Everybody in whose stead a person is there now."""
    return frozenset(p for p in away if stand_in_of(p, away) == person)


def fault(new: TimeAway, others: Sequence[TimeAway], now: datetime) -> PlanFault | None:
    """Why this time away can't be planned beside the others, of anybody; nothing if it can."""
    return _odd_time(new, now) or _overlap(new, others) or _bad_chain(new, others)


def _odd_time(new: TimeAway, now: datetime) -> PlanFault | None:
    if new.ends_at <= max(new.begins_at, now):
        return PlanFault("until", "Until has to be after from, and later than now.")
    if new.ends_at - new.begins_at > LONGEST:
        days = LONGEST.days
        return PlanFault("until", f"At most {days} days at once: choose an earlier day.")
    if new.begins_at - now > AHEAD:
        return PlanFault("from", "At most a year ahead: choose an earlier day.")
    return None


def _overlap(new: TimeAway, others: Sequence[TimeAway]) -> PlanFault | None:
    mine = [one for one in others if one.person == new.person]
    if any(one.meets(new.begins_at, new.ends_at) for one in mine):
        return PlanFault("from", "It overlaps another absence: end that one, or choose other days.")
    if len(mine) >= PLANNED_MOST:
        return PlanFault(
            "from", f"There are {PLANNED_MOST} absences to come: end one of them first."
        )
    return None


def _bad_chain(new: TimeAway, others: Sequence[TimeAway]) -> PlanFault | None:
    if new.stand_in == new.person:
        return PlanFault("stand_in", "Nobody stands in for themselves: choose another person.")
    for chain in _chains((new.person,), [new, *others], new.begins_at, new.ends_at):
        if chain[-1] in chain[:-1]:
            return PlanFault(
                "stand_in",
                "They are away then too, and it would come back to whoever is away: choose another"
                " person.",
            )
        if len(chain) - 1 > LINKS:
            return PlanFault(
                "stand_in",
                f"They are away then too, and so are others: at most {LINKS} stand in one after"
                " another. Choose somebody who is there.",
            )
    return None


def _chains(
    chain: tuple[int, ...], times: Sequence[TimeAway], since: datetime, until: datetime
) -> Iterator[tuple[int, ...]]:
    """Every chain of stand-ins that holds at some moment of the time, the person first. One goes no
    further once it has come back to somebody, or has a link too many."""
    yield chain
    if chain[-1] in chain[:-1] or len(chain) - 1 > LINKS:
        return
    for one in times:
        if one.person == chain[-1] and one.stand_in is not None and one.meets(since, until):
            narrower = max(since, one.begins_at), min(until, one.ends_at)
            yield from _chains((*chain, one.stand_in), times, *narrower)


def inherited(had: Mapping[str, str], absent: Iterable[tuple[str, str]]) -> str:
    """What a stand-in has of a part that an absent person had (``had``: by user name), as the end
    of a sentence "You …"; nothing if none had one. ``absent``: user and display names."""
    for username, shown in absent:
        if username in had:
            return f"stand in for {shown}, who {had[username]}"
    return ""
