"""How the duties stand, and which process holds them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.kernel.statements import fetch


@dataclass(frozen=True, slots=True)
class DutyHealth:
    """How a duty went last. ``quiet_s`` is the time since it went well, ``lag_s`` how
    much of that is more than its interval; ``set_aside`` counts the rows that it can't deal with
    at the moment, and ``aside`` names the first of them, one a line with the reason."""

    name: str
    words: str
    every_s: float
    succeeded_at: datetime | None
    failed_at: datetime | None
    failures: int
    error: str
    took_ms: float
    did: int | None
    set_aside: int
    aside: str
    quiet_s: float

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def lines(self) -> list[str]:
        """What of the rows that were set aside is told."""
        return self.aside.splitlines()

    @property
    def untold(self) -> int:
        return self.set_aside - len(self.lines)

    @property
    def lag_s(self) -> float:
        return max(0.0, self.quiet_s - self.every_s - self.took_ms / 1000)

    @property
    def is_late(self) -> bool:
        return self.lag_s > max(settings.NOTICE_SECONDS, 2 * self.every_s)

    @property
    def standing(self) -> str:
        """One word: fails, late or well."""
        if self.failures:
            return "fails"
        return "late" if self.is_late else "well"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds the duties, or held them last. ``left_s``: for how long it holds them
    yet, unless it renews its lease; negative once another may have them. ``idle_s``: the time since
    any of them was done, by whomever."""

    name: str
    since: datetime
    token: int
    left_s: float
    idle_s: float

    @property
    def is_holding(self) -> bool:
        return self.left_s > 0

    @property
    def unheld_s(self) -> float:
        """For how long nobody has held them, nor done any: a process of an earlier release does
        them without holding them."""
        return max(0.0, min(-self.left_s, self.idle_s))


def standings() -> list[DutyHealth]:
    """Those done in the last day, those first that need a look."""
    rows = fetch(
        "SELECT name, words, every_s, succeeded_at, failed_at, failures, error, took_ms, did,"
        " set_aside, aside,"
        " extract(epoch FROM clock_timestamp() - coalesce(succeeded_at, first_at))::float8"
        " FROM audit_dutystanding WHERE ran_at > clock_timestamp() - interval '1 day'"
        " ORDER BY name",
        [],
    )
    found = [DutyHealth(*row) for row in rows]
    return sorted(found, key=lambda d: (d.standing == "well", not d.set_aside))


def holder() -> Holder | None:
    """Who holds the duties; ``None`` before any process ever did."""
    rows = fetch(
        "SELECT holder, since, token, extract(epoch FROM until - clock_timestamp())::float8,"
        " coalesce((SELECT extract(epoch FROM clock_timestamp() - max(ran_at))"
        "  FROM audit_dutystanding), 'infinity')::float8"
        " FROM audit_dutylease WHERE name = 'duties'",
        [],
    )
    return Holder(*rows[0]) if rows else None
