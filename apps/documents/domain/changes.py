"""What a text would change, one sentence each, and what that does to control."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """How a change is classed, in the order in which people should read it. What can't be judged
    is classed as weaker: a person should look at it."""

    WEAKER = "weaker_control"
    BREAKING = "breaking"
    STRONGER = "stronger_control"
    NEUTRAL = "neutral"


_ORDER = list(Kind)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of meaning. ``before`` and ``after`` are values where there are two."""

    path: str
    kind: Kind
    sentence: str
    before: Any = None
    after: Any = None


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Weaker controls first; otherwise in the order given."""
    return sorted(changes, key=lambda c: _ORDER.index(c.kind))


def weaker(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Those that weaken a control."""
    return tuple(c for c in changes if c.kind == Kind.WEAKER)
