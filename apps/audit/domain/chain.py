"""The hash chain: each event's hash covers its content and the hash before it.

``h_n = SHA-256(purpose NUL JCS({prev, position, event}))``; see RFC 8785 for the canonical form.
A chain shows edits and deletions in the middle; a cut-off tail needs a checkpoint kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.kernel.canonical import digest

GENESIS = "0" * 64
PURPOSE = "tower.audit.v1"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain first fails, and how."""

    position: int
    problem: str


def link(previous: str, position: int, event: Mapping[str, Any]) -> str:
    """The hash of ``event`` at ``position`` after the event whose hash is ``previous``."""
    body = {"prev": previous, "position": position, "event": dict(event)}
    return digest(body, purpose=PURPOSE)


def first_break(
    rows: Iterable[tuple[int, str, Mapping[str, Any]]], *, previous: str = GENESIS, after: int = 0
) -> Break | None:
    """The first position that is missing or whose hash doesn't fit; ``None`` if all fit.
    ``rows`` are (position, hash, event content) in order of position."""
    expected = after + 1
    for position, stored, event in rows:
        if position != expected:
            return Break(expected, f"position {expected} is missing")
        previous = link(previous, position, event)
        if stored != previous:
            return Break(position, "the content doesn't fit its hash")
        expected += 1
    return None
