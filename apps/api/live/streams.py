"""Which streams there are and what a person must be allowed to do to hear one."""

from __future__ import annotations

import re
from typing import Any

from apps.audit import registry
from apps.audit.domain.streams import RUN

LIMIT = 12  # streams a socket

_RUN = re.compile(rf"{RUN}[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")


def parse(text: str) -> frozenset[str]:
    """Stream names of a comma-separated list."""
    return frozenset(name for name in text.split(",") if name)


def may_hear(user: Any, streams: frozenset[str]) -> bool:
    """Whether ``user`` may hear all of ``streams``; an unknown stream is nobody's."""
    if not user.is_authenticated or len(streams) > LIMIT:
        return False
    return all((wanted := permission_of(s)) is not None and user.may(wanted) for s in streams)


def permission_of(stream: str) -> str | None:
    """The permission that opens ``stream``; ``None`` if there is no such stream."""
    if stream.startswith(RUN) and not _RUN.fullmatch(stream):
        return None
    found = registry.stream(RUN if stream.startswith(RUN) else stream)
    return found.permission if found else None
