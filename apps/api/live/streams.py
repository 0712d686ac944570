"""Which streams there are and what a person must be allowed to do to hear one."""

from __future__ import annotations

import re
from typing import Any

from apps.accounts.domain.roles import Permission

LIMIT = 12  # streams a socket

_RUN = re.compile(r"run:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMED = {
    "approvals": Permission.APPROVALS_VIEW,
    "runs": Permission.RUNS_VIEW,
    "tower": Permission.TOWER_VIEW,
    "catalog": Permission.CATALOG_VIEW,
    "audit": Permission.AUDIT_VIEW,
}


def parse(text: str) -> frozenset[str]:
    """Stream names of a comma-separated list."""
    return frozenset(name for name in text.split(",") if name)


def may_hear(user: Any, streams: frozenset[str]) -> bool:
    """Whether ``user`` may hear all of ``streams``; an unknown stream is nobody's."""
    if not user.is_authenticated or len(streams) > LIMIT:
        return False
    return all((wanted := permission_of(s)) is not None and user.may(wanted) for s in streams)


def permission_of(stream: str) -> Permission | None:
    """The permission that opens ``stream``; ``None`` if there is no such stream."""
    if _RUN.fullmatch(stream):
        return Permission.RUNS_VIEW
    return _NAMED.get(stream)
