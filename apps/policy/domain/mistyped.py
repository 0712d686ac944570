"""What came in a fact's place, kept and said in words.

A value that no fact can be (an object, a list of numbers, NaN) is stored as words about it: so it
is as unknown when the question is asked again, and can never turn into what it wasn't. A
number is kept by its value, to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.kernel.exactjson import NotCarriedError, Number, check, is_number, number_text

LONGEST = 2**63 - 1
SHOWN_CHARACTERS = 60
CAME = "came"  # the only key of what stands for such a value
LIST = "a list that holds something else than texts"


def kept(value: Any) -> Any:
    """A fact as it is stored: itself, where JSON carries it exactly and any fact could be it; else
    an object that says in words what it was. Keeping what was kept changes nothing."""
    if value is None or isinstance(value, str | bool):
        return value
    if is_number(value):
        try:
            return check(value)
        except NotCarriedError:
            return {CAME: described(value)}
    if isinstance(value, list | tuple | set | frozenset):
        is_texts = all(isinstance(item, str) for item in value)
        return sorted(set(value)) if is_texts else {CAME: LIST}
    return {CAME: described(value)}


def described(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return _described_number(value)
    if isinstance(value, str):
        return f"the text “{_short(value, SHOWN_CHARACTERS)}”"
    if isinstance(value, Mapping):
        came = value.get(CAME)
        is_kept = len(value) == 1 and isinstance(came, str)
        return _short(str(came), 3 * SHOWN_CHARACTERS) if is_kept else "an object"
    is_texts = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    return "a list of texts" if is_texts else LIST


def _described_number(value: Number) -> str:
    try:
        exact = check(value)
    except NotCarriedError as error:
        return f"something that {error.reason}"
    if abs(exact) > LONGEST:
        return "a number beyond 64 bits"
    return f"the number {_short(number_text(exact), SHOWN_CHARACTERS)}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
