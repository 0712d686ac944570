"""JSON that a person types, read strictly, with a place for everything that is said about it."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecodeError

from apps.kernel import exactjson
from apps.kernel.documents import (
    MAX_DEPTH,
    MAX_EXACT_CHARACTERS,
    Document,
    Path,
    Place,
    Problem,
    path_text,
)
from apps.kernel.exactjson import NotCarriedError

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


def load_json(text: str) -> Document:
    """Read ``text``; never raises. The value is one of ours, to the digit, and None with a problem
    for what is no JSON, has a key twice, NaN, an infinity or half a character, or is too long or
    nested too deeply for a document."""
    if len(text) > MAX_EXACT_CHARACTERS:
        message = f"It is longer than {MAX_EXACT_CHARACTERS:,} characters."
        return _refused(text, MAX_EXACT_CHARACTERS, message, "Shorten it.")
    try:
        value = exactjson.loads(text)
    except NotCarriedError as error:
        return _why_not(text, error)
    found = Document(value)
    ends = [match.start() for match in re.finditer("\n", text)]
    for path, at, is_key in _parts(text):
        if len(path) > MAX_DEPTH:
            return _too_deep(text, at)
        places = found.key_places if is_key else found.places
        places[path] = _place(ends, at)
    return found


def _why_not(text: str, error: NotCarriedError) -> Document:
    if isinstance(error.__cause__, JSONDecodeError):
        said = error.__cause__
        message = f"It can't be read as JSON: {said.msg}."
        return _refused(text, said.pos, message, "Check commas, quotes and brackets there.")
    if error.code == "too_deep":
        deep = (at for path, at, _ in _parts(text) if len(path) > MAX_DEPTH)
        return _too_deep(text, next(deep, 0))
    if error.code == "key_twice":
        at, path = _second(text)
        return _refused(text, at, "The key is written twice.", "Keep one of them.", path)
    where = {path: at for path, at, _ in _parts(text)}
    path = error.parts
    while path and path not in where:
        path = path[:-1]
    return _refused(text, where.get(path, 0), f"It {error.reason}.", error.fix, path)


def _too_deep(text: str, at: int) -> Document:
    return _refused(text, at, f"It is nested more than {MAX_DEPTH} levels deep.", "Flatten it.")


def _second(text: str) -> tuple[int, Path]:
    """Where a key stands for the second time."""
    seen = set()
    for path, at, is_key in _parts(text):
        if is_key and path in seen:
            return at, path
        if is_key:
            seen.add(path)
    return 0, ()


def _refused(text: str, at: int, message: str, fix: str, path: Path = ()) -> Document:
    place = _place([match.start() for match in re.finditer("\n", text)], at)
    return Document(problems=[Problem(message, fix, path_text(path), place.line, place.column)])


def _place(ends: list[int], at: int) -> Place:
    """``ends``: where the text's lines end."""
    line = bisect_left(ends, at)
    return Place(line + 1, at - (ends[line - 1] if line else -1))


def _parts(text: str) -> Iterator[tuple[Path, int, bool]]:
    """Each key and each value with its path and its place, as far as the text is JSON; level by
    level in one list, so that no depth is too much."""
    inside: list[str | int | None] = []  # of each open bracket: the position, the key, None before
    for found in _TOKEN.finditer(text):
        sign = found[0]
        if sign in "]}":
            del inside[-1:]
        elif sign == "," and inside:
            inside[-1] = inside[-1] + 1 if isinstance(inside[-1], int) else None
        elif sign in ",:":
            continue
        elif inside and inside[-1] is None:
            inside[-1] = _key(sign)
            yield _path(inside), found.start(), True
        else:
            yield _path(inside), found.start(), False
            if sign in "[{":
                inside.append(0 if sign == "[" else None)


def _path(inside: list[str | int | None]) -> Path:
    return tuple(part for part in inside if part is not None)


def _key(token: str) -> str:
    with suppress(ValueError):
        return str(json.loads(token, strict=False))
    return token
