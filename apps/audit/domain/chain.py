"""The hash chain: each event's hash covers its content and the hash before it.

``h_n = SHA-256(purpose NUL JCS({prev, position, event}))``; see RFC 8785 for the canonical form.
A chain shows edits and deletions in the middle; a cut-off tail needs a checkpoint kept elsewhere.

An event that can't be digested as a value (nested too deeply, a time beyond the calendar) is linked
by the texts that the database holds of it, under a purpose of its own, and marked as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from apps.kernel.canonical import canonical_bytes, digest_of_bytes

GENESIS = "0" * 64
PURPOSE = "tower.audit.v1"
TEXTS_PURPOSE = "tower.audit.texts.v1"
AS_VALUE, AS_TEXTS = "", "texts"  # how an event was sealed, as it is kept beside its hash


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain first fails, and how."""

    position: int
    problem: str


@dataclass(frozen=True, slots=True)
class Texts:
    """An event as the database holds it, column by column, without reading any of it."""

    columns: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class UnreadEvent:
    """An event that is said to be sealed as a value, and can't be read as one."""

    why: str


Event: TypeAlias = Mapping[str, Any] | Texts | UnreadEvent


def link(previous: str, position: int, event: Mapping[str, Any] | Texts) -> str:
    """The hash of ``event`` at ``position`` after the event whose hash is ``previous``. Texts can
    always be linked; other content raises what says why it can't be."""
    purpose = TEXTS_PURPOSE if isinstance(event, Texts) else PURPOSE
    return digest_of_bytes(hashed_bytes(previous, position, event), purpose=purpose)


def hashed_bytes(previous: str, position: int, event: Mapping[str, Any] | Texts) -> bytes:
    """The very bytes that the hash covers, behind its purpose."""
    body: dict[str, Any] = {"prev": previous, "position": position}
    if isinstance(event, Texts):
        return canonical_bytes(body | {"texts": dict(event.columns)})
    return canonical_bytes(body | {"event": dict(event)})


def first_break(
    rows: Iterable[tuple[int, str, Event]], *, previous: str = GENESIS, after: int = 0
) -> Break | None:
    """The first position that is missing or whose hash doesn't fit; ``None`` if all fit.
    ``rows`` are (position, hash, event as it was sealed) in order of position."""
    expected = after + 1
    for position, stored, event in rows:
        if position != expected:
            return Break(expected, f"position {expected} is missing")
        found, why = _linked(previous, position, event)
        if stored != found:
            return Break(position, f"the content doesn't fit its hash{why}")
        previous, expected = found, expected + 1
    return None


def _linked(previous: str, position: int, event: Event) -> tuple[str, str]:
    """The hash, or why there can be none."""
    try:
        if not isinstance(event, UnreadEvent):
            return link(previous, position, event), ""
        why = event.why
    except Exception as error:  # what can't be digested was never sealed as a value
        why = type(error).__name__
    return "", f": it can't be read ({why})"
