"""Which domain of the catalog a recording belongs to, and how its lines are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.catalog.selectors import pinned


@dataclass(frozen=True, slots=True)
class Mappings:
    """The packs' sections ``replay``. ``domains`` leads from the name that recordings use to the
    domain's slug."""

    domains: Mapping[str, str]
    by_domain: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> frozenset[str]:
        """The names that a recording's field ``domain`` may have."""
        return frozenset(self.domains)

    def translated(self, episode: Mapping[str, Any]) -> Mapping[str, Any]:
        """The episode under its domain's own slug."""
        return {**episode, "domain": self.domains[episode["domain"]]}

    def of(self, domain: str) -> Mapping[str, Any]:
        """How recordings of a domain are read."""
        return self.by_domain.get(domain, {})


def mappings() -> Mappings:
    """What the catalog says. A domain's own slug always names it; a name that two claim is the
    first one's by slug."""
    by_domain = pinned.replay_mappings()
    names = {
        name: slug
        for slug in sorted(by_domain, reverse=True)
        for name in by_domain[slug].get("recordings") or ()
    }
    return Mappings({**names, **{slug: slug for slug in by_domain}}, by_domain)
