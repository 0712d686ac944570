"""Where each value of a call was seen before: in which answer of a tool, in whose words.

It finds words, not meaning: that a value stands somewhere says that it wasn't made up, not that it
is right. So the nearest place is named and what is found nowhere says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel.exactjson import is_number, number_text

MOST_VALUES = 60
MOST_CHARACTERS = 200_000  # of one place that is searched
SHORTEST = 2  # characters of a text that says anything when it is found


@dataclass(frozen=True, slots=True)
class SeenAt:
    """Something that was read or said: ``words`` name it, ``step`` leads to it where it is a
    step's answer, ``texts`` is what stood there."""

    words: str
    texts: tuple[str, ...]
    step: int | None = None


@dataclass(frozen=True, slots=True)
class ArgumentSource:
    """A value of the arguments and the places where it stands, the latest first; none: nobody
    mentioned it."""

    path: str
    value: str
    places: tuple[SeenAt, ...]


def sources(arguments: Any, places: Sequence[SeenAt], *, most: int = 2) -> list[ArgumentSource]:
    """Each value of ``arguments``, as far as a page holds them, with at most ``most`` places."""
    found: list[ArgumentSource] = []
    for path, value in _values(arguments, ""):
        if len(found) == MOST_VALUES:
            break
        met = tuple(p for p in reversed(places) if any(_stands_in(value, t) for t in p.texts))
        found.append(ArgumentSource(path, value, met[:most]))
    return found


def _stands_in(value: str, text: str) -> bool:
    """Whether it stands there as a word of its own, whatever its case: 1 is not in 10."""
    if len(value) < SHORTEST and not value.isdigit():
        return False
    wanted = rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\d)"
    return re.search(wanted, text[:MOST_CHARACTERS], re.IGNORECASE) is not None


def _values(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Texts and numbers with their paths; what is true, false or nothing is found everywhere. No
    recursion: it came from outside."""
    left = [(value, path)]
    while left:
        value, path = left.pop()
        if isinstance(value, Mapping):
            left += [(v, f"{path}.{k}".removeprefix(".")) for k, v in value.items()][::-1]
        elif isinstance(value, list):
            left += [(v, f"{path}[{i}]") for i, v in enumerate(value)][::-1]
        elif is_number(value):
            yield path, number_text(value)
        elif isinstance(value, str) and value.strip():
            yield path, value.strip()


def texts_of(value: Any) -> tuple[str, ...]:
    """Every text and number in an answer; a text that holds several lines as it is."""
    return tuple(text for _, text in _values(value, ""))
