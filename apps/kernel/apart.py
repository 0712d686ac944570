"""One row's trouble stays that row's, where many are dealt with in one transaction.

A transaction that fails, and not because the database is away, is rolled back and done again in
halves until the row that makes trouble is alone. While nothing goes wrong this costs nothing; a row
that does make trouble costs twice as many small transactions as its set can be halved.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from apps.kernel.transactions import is_of_a_row

logger = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
T = TypeVar("T")
AGAIN_S = 60.0  # until one that was set aside is tried again
MOST_HELD = 1000
MOST_AT_ONCE = 50  # more in one go are no row's trouble


def in_halves(
    items: Sequence[T],
    act: Callable[[Sequence[T]], list[R]],
    end: Callable[[T, BaseException], list[R]],
) -> list[R]:
    """``act`` on all of them, in a transaction of its own each time; where that fails on each half,
    and where it fails on a single one, ``end`` that one. Raises what is no row's trouble."""
    if not items:
        return []
    try:
        return act(items)
    except BaseException as error:
        if not is_of_a_row(error):
            raise
        found = error
    if len(items) == 1:
        return end(items[0], found)
    half = len(items) // 2
    return [*in_halves(items[:half], act, end), *in_halves(items[half:], act, end)]


@dataclass(frozen=True, slots=True)
class _Held:
    error: BaseException
    until: float


@dataclass(slots=True)
class Aside:
    """Rows that this process could not deal with, each with the error: they are left alone for a
    while, so that they cost the others nothing, and are tried again then. ``noun`` is what one of
    them is called."""

    noun: str
    again_s: float = AGAIN_S
    _held: dict[Any, _Held] = field(default_factory=dict)

    def left_alone(self) -> list[Any]:
        """Those to leave alone now; the others are forgotten and may be tried again."""
        now = time.monotonic()
        self._held = {key: held for key, held in self._held.items() if held.until > now}
        return list(self._held)

    def put(self, key: Hashable, error: BaseException) -> None:
        """Leave one alone from now on."""
        logger.error("%s %s is set aside", self.noun, key, exc_info=error)
        # What an error was raised from, and the frames that it passed, hold much more than words.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        if len(self._held) >= MOST_HELD:
            self._held.pop(next(iter(self._held)))
        self._held[key] = _Held(error, time.monotonic() + self.again_s)

    def forget(self) -> None:
        """Let all of them be tried again."""
        self._held.clear()

    def told(self) -> list[tuple[str, BaseException]]:
        """What is set aside at this moment, as people call it, and why."""
        return [(f"{self.noun} {key}", held.error) for key, held in self._held.items()]


def deal(
    keys: Sequence[K],
    act: Callable[[Sequence[K]], list[R]],
    aside: Aside,
    *,
    lesser: Iterable[Callable[[K, BaseException], list[R]]] = (),
) -> list[R]:
    """``act`` on all of these rows; one that makes it fail is dealt with in one of the ``lesser``
    ways, the first that works, or set aside. Each call is a transaction of its own. Raises the
    error when it sets more aside than can be the trouble of rows; those before are dealt with."""
    ways = tuple(lesser)
    put = 0

    def end(key: K, error: BaseException) -> list[R]:
        nonlocal put
        for way in ways:
            try:
                done = way(key, error)
            except BaseException as again:
                if not is_of_a_row(again):
                    raise
                logger.warning(
                    "%s %s can't be dealt with this way", aside.noun, key, exc_info=again
                )
            else:
                logger.error("%s %s made trouble and was ended", aside.noun, key, exc_info=error)
                return done
        put += 1
        aside.put(key, error)
        if put > MOST_AT_ONCE:
            raise error
        return []

    return in_halves(keys, act, end)
