"""Periodic work as named duties: each has its own interval, last success and trouble."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.kernel.apart import Aside

# What can be written down of one.
MOST_NAME, MOST_WORDS = 60, 200  # characters
MOST_COUNT = 2**63 - 1  # of what it found to do
# Who holds the duties (``services.leading``).
LEASE_S = 5.0  # how long a holder that gives no sign keeps the others from them
RENEW_S = 1.0  # how often it gives one, and how often the others look
MARGIN_S = 0.5  # before its lease ends by the database's clock a holder begins nothing any more
# How it does them (``runner``).
PATIENCE_S = 2.0  # how long the next duty waits for one; then both are done at once
STUCK_S = 10.0  # a runner that makes no move for so long lets another have the duties


@dataclass(frozen=True, slots=True)
class Duty:
    """``work`` (a function, or its dotted name) is done about every ``every_s`` seconds, or in each
    round of the sweep. One that ``waits`` for the network is done beside the round. ``words`` say
    to people what is not done while it fails; ``aside`` holds the rows that it could not deal
    with (or is the dotted name of what does)."""

    name: str
    words: str
    work: Callable[[], Any] | str
    every_s: float = 0.0
    waits: bool = False
    aside: Aside | str | None = None

    def __post_init__(self) -> None:
        """What no round could deal with is refused where it is named."""
        if not 0 < len(self.name) <= MOST_NAME:
            raise ValueError(f"{self.name[:80]!r}: a duty's name has 1 to {MOST_NAME} characters")
        if len(self.words) > MOST_WORDS:
            raise ValueError(f"{self.name!r}: a duty's words have at most {MOST_WORDS} characters")
        if not 0 <= self.every_s < inf:
            raise ValueError(f"{self.name!r}: a duty can't be done every {self.every_s} s")

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
        whole = isinstance(found, int) and not isinstance(found, bool)
        return found if whole and abs(found) <= MOST_COUNT else None


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round found to do, by duty; ``failed`` says why some could not be done."""

    counts: Mapping[str, int]
    failed: Mapping[str, str]

    def __getattr__(self, name: str) -> int:
        try:
            return self.counts[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Term:
    """A time in which one process holds the duties. ``token`` grows with each new holder: what an
    earlier one writes is refused. ``until`` is on the holder's own clock (``time.monotonic``), and
    never later than what the database says."""

    token: int
    until: float
