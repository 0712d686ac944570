"""How each tool server stands: where it is by whose word, how it last answered, what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.catalog.adapters.addresses import configured, resolve
from apps.catalog.domain.servers import ServerAddress
from apps.catalog.domain.tool_servers import ServerTerms
from apps.catalog.models import ServerCheck
from apps.catalog.selectors import servers
from apps.catalog.selectors.servers import Drift
from apps.kernel.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server. ``problem``: why this process couldn't call it. ``is_used``: a pack names it."""

    slug: str
    address: ServerAddress | None = None
    problem: str = ""
    check: ServerCheck | None = None
    drifts: list[Drift] = field(default_factory=list)
    is_used: bool = True

    @property
    def state(self) -> str:
        """One word: the address is wrong, it answers, it doesn't, or it was not asked yet."""
        if self.problem:
            return "misconfigured"
        if self.address is not None and self.address.module:
            return "in process"
        if self.check is None or self.check.checked_at is None:
            return "not asked"
        return "answers" if self.check.is_answering else "silent"


def standings() -> list[ServerStatus]:
    """Every server that the catalog, the environment or the file names. As this process would call
    it; the answers are those that the sweeper got."""
    checks, drifts, stated = servers.checks(), servers.drifts(), servers.stated()
    slugs = sorted({*checks, *configured()})
    return [_standing(slug, checks, drifts, stated) for slug in slugs]


def standing_of(slug: str) -> ServerStatus:
    """The same of one of them."""
    return _standing(slug, servers.checks(), servers.drifts(), servers.stated())


def _standing(
    slug: str,
    checks: Mapping[str, ServerCheck | None],
    drifts: Sequence[Drift],
    stated: Mapping[str, ServerTerms | str],
) -> ServerStatus:
    return ServerStatus(
        slug,
        *_address(slug, stated.get(slug, "")),
        check=checks.get(slug),
        drifts=[drift for drift in drifts if drift.server == slug],
        is_used=slug in checks,
    )


def _address(slug: str, stated: ServerTerms | str) -> tuple[ServerAddress | None, str]:
    try:
        return resolve(slug, stated).address, ""
    except UnavailableError as error:
        return None, str(error)
