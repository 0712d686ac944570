"""Periodic work as named duties: each has its own pace, last success and trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.kernel.apart import Aside


@dataclass(frozen=True, slots=True)
class Duty:
    """``work`` is done in each round of the sweep, or about every ``every_s`` seconds. One that
    ``waits`` for the network is done beside the round, which never waits for it. ``words`` say to
    people what is not done while it fails, ``aside`` holds the rows that it could not deal with."""

    name: str
    words: str
    work: Callable[[], Any]
    every_s: float = 0.0
    waits: bool = False
    aside: Aside | None = None

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Done:
    """How a duty went. ``error`` is empty when it went well."""

    duty: Duty
    result: Any = None
    error: str = ""
    took_ms: float = 0.0

    @property
    def count(self) -> int | None:
        """How many things it found to do, where it says so."""
        found = len(self.result) if isinstance(self.result, tuple | list) else self.result
        return found if isinstance(found, int) and not isinstance(found, bool) else None
