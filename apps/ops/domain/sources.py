"""Where each value of a call was seen before: in which answer of a tool, in whose words.

It finds words, not meaning: that a value stands somewhere says that it wasn't made up, not that it
is right. So the nearest place is named and what is found nowhere says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from apps.kernel.exactjson import is_number, number_text

MOST_VALUES = 60
MOST_CHARACTERS = 200_000  # of one place that is searched
MOST_ALTOGETHER = 1_000_000  # of all of them, the latest first
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
    """A value of the arguments and the places where it stands, the latest first. None: nobody
    mentioned it, or, unless ``is_all_searched``, nobody did in what was searched."""

    path: str
    value: str
    places: tuple[SeenAt, ...]
    is_all_searched: bool = True


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a place is searched; ``folded`` tells cheaply what doesn't stand in it."""

    place: SeenAt
    texts: tuple[str, ...]
    folded: tuple[str, ...]


def sources(arguments: Any, places: Sequence[SeenAt], *, most: int = 2) -> list[ArgumentSource]:
    """Each value of ``arguments``, as far as a page holds them, with at most ``most`` places. A
    single letter is left out: it says nothing when it is found, nor when it isn't."""
    parts = _parts(places)
    is_all = sum(map(_size, places)) == sum(len(t) for part in parts for t in part.texts)
    found: list[ArgumentSource] = []
    for path, value in _values(arguments, ""):
        if len(found) == MOST_VALUES:
            break
        if len(value) >= SHORTEST or value.isdigit():
            met = islice((part.place for part in parts if _stands_in(value, part)), most)
            found.append(ArgumentSource(path, value, tuple(met), is_all))
    return found


def _parts(places: Sequence[SeenAt]) -> list[_Part]:
    """The places, the latest first, as far as they are searched."""
    parts, left = [], MOST_ALTOGETHER
    for place in reversed(places):
        texts, here = [], min(MOST_CHARACTERS, left)
        for text in place.texts:
            texts.append(text[:here])
            here -= len(texts[-1])
            left -= len(texts[-1])
        parts.append(_Part(place, tuple(texts), tuple(map(_folded, texts))))
    return parts


def _size(place: SeenAt) -> int:
    return sum(map(len, place.texts))


def _folded(text: str) -> str:
    """Whatever ``re.IGNORECASE`` takes for the same letters is the same here."""
    return text.casefold().replace("i\u0307", "i").replace("\u0131", "i")


def _stands_in(value: str, part: _Part) -> bool:
    """Whether it stands there as a word of its own, whatever its case: 1 is not in 10."""
    folded = _folded(value)
    there = [text for text, f in zip(part.texts, part.folded, strict=True) if folded in f]
    if not there:
        return False
    wanted = re.compile(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\d)", re.IGNORECASE)
    return any(wanted.search(text) for text in there)


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
