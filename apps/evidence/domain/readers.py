"""How the people of one company or country speak of values, beyond what everybody says. Whoever
knows registers a reader; the core knows none of them.

A reader only adds ways in which a value counts as said, so without one more is held for a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date


def _no_forms(day: date) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Reader:
    """``dates`` gives more lower-case forms of a day; ``unspoken`` finds the names of arguments
    that nobody says aloud, ``known`` are the lower-case texts that go without saying."""

    name: str
    dates: Callable[[date], Iterable[str]] = _no_forms
    unspoken: re.Pattern[str] | None = None
    known: frozenset[str] = frozenset()


_readers: dict[str, Reader] = {}


def add_reader(reader: Reader) -> None:
    """Have it asked from now on. Raises ``ValueError`` if another one has its name."""
    if _readers.setdefault(reader.name, reader) != reader:
        raise ValueError(f"there are two readers named {reader.name!r}")


def is_unspoken(name: str, text: str) -> bool:
    """Whether a reader says that an argument of this name, or this lower-case text, needn't be
    said."""
    return any(
        (one.unspoken is not None and one.unspoken.search(name)) or text in one.known
        for one in _readers.values()
    )


def more_dates(day: date) -> list[str]:
    """The forms of a day that readers add."""
    return [form for one in _readers.values() for form in one.dates(day)]
