"""What went wrong with one step, in words that a person understands.

An error's own text speaks to whoever wrote the code, and may hold anything that came from outside.
Here it becomes one plain sentence of bounded length that any page and any column can hold.
"""

from __future__ import annotations

import json
from typing import Any

from apps.kernel.exactjson import NotCarriedError

MOST_WORDS = 300
MOST_SHOWN = 2000

_PLAIN: tuple[tuple[type[BaseException], str], ...] = (
    (RecursionError, "it is nested too deeply"),
    (MemoryError, "it is larger than the memory of a worker"),
    (UnicodeError, "its text holds characters that can't be stored"),
)


def words(error: BaseException) -> str:
    """What is wrong, as half a sentence: "it is nested too deeply"."""
    for kind, plain in _PLAIN:
        if isinstance(error, kind):
            return plain
    said = _said(error)
    if isinstance(error, NotCarriedError):
        return said.removesuffix(".")
    if isinstance(error, KeyError):
        return f"something that it refers to is missing ({said})"
    name = type(error).__name__
    return f"{name}: {said}" if said else name


def excerpt(value: Any) -> str:
    """The beginning of a value that can't be kept as it is, as text that can; text as it came."""
    if isinstance(value, str):
        return storable(value[:MOST_SHOWN])
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError, OverflowError):
        try:
            text = repr(value)
        except Exception:  # a value that can't even be shown is told by its type
            text = f"a value of the type {type(value).__name__}"
    return storable(text[:MOST_SHOWN])


def storable(text: str) -> str:
    """``text`` without the characters that no column takes: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # an error that can't say what it is
        return ""
    return storable(" ".join(text[: 4 * MOST_WORDS].split())[:MOST_WORDS])
