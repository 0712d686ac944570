"""Teams: what their members may decide. Pure.

A bound that is empty bounds nothing; all bounds of one team have to fit together. Of several teams
any one suffices, as a whole: the domains of one never go with the amount of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

NAME_MOST = 60


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be decided. ``amount_cents``: what it moves, either way, in minor units of the
    tower's currency; ``None`` where that isn't known."""

    domain: str
    job: str
    amount_cents: int | None
    risk: int


@dataclass(frozen=True, slots=True)
class TeamScope:
    """What one team decides. ``None`` and an empty set bound nothing."""

    domains: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    most_cents: int | None = None
    highest_risk: int | None = None

    def covers(self, matter: Matter) -> bool:
        """Whether the team decides this. An amount that isn't known is above every bound."""
        return (
            (not self.domains or matter.domain in self.domains)
            and (not self.jobs or matter.job in self.jobs)
            and (self.highest_risk is None or matter.risk <= self.highest_risk)
            and (self.most_cents is None or _within(matter.amount_cents, self.most_cents))
        )

    @property
    def is_unbounded(self) -> bool:
        """Whether it decides whatever there is."""
        return self == TeamScope()

    def to_json(self) -> dict[str, object]:
        """As the audit log tells it."""
        return {
            "domains": sorted(self.domains),
            "jobs": sorted(self.jobs),
            "most_cents": self.most_cents,
            "highest_risk": self.highest_risk,
        }


@dataclass(frozen=True, slots=True)
class TeamTerms:
    """A team as it is to be. ``leads`` are members, too."""

    name: str
    scope: TeamScope
    takes_new: bool = False
    members: frozenset[int] = frozenset()
    leads: frozenset[int] = frozenset()


def _within(cents: int | None, most: int) -> bool:
    return cents is not None and abs(cents) <= most


NOTHING_FITS = TeamScope(most_cents=-1)  # no amount is below nothing


def scope_of(domains: object, jobs: object, most_cents: int | None, risk: int | None) -> TeamScope:
    """The scope of a stored team. A list of names that isn't one (somebody wrote to the table) lets
    nothing through, since an empty one would bound nothing."""
    if not _are_names(domains) or not _are_names(jobs):
        return NOTHING_FITS
    return TeamScope(frozenset(domains), frozenset(jobs), most_cents, risk)  # type: ignore[call-overload]  # lists of texts


def _are_names(stored: object) -> bool:
    return isinstance(stored, list) and all(isinstance(one, str) and one for one in stored)


def may_decide(scopes: Iterable[TeamScope], matter: Matter) -> bool:
    """Whether somebody whose teams these are may decide it: any single one of them does."""
    return any(scope.covers(matter) for scope in scopes)


def widens(old: TeamScope, new: TeamScope) -> bool:
    """Whether the new scope may let something through that the old one did not. Where this says no,
    it certainly doesn't."""
    return (
        _adds(old.domains, new.domains)
        or _adds(old.jobs, new.jobs)
        or _rises(old.most_cents, new.most_cents)
        or _rises(old.highest_risk, new.highest_risk)
    )


def _adds(old: frozenset[str], new: frozenset[str]) -> bool:
    return bool(old) and (not new or bool(new - old))


def _rises(old: int | None, new: int | None) -> bool:
    return old is not None and (new is None or new > old)


def cents_of(amount: Decimal | None) -> int | None:
    """An amount with at most two places, in minor units."""
    return None if amount is None else int(amount * 100)
