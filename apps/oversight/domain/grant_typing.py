"""Bounds of a grant as people type and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.kernel import exactjson
from apps.kernel.exactjson import NotCarriedError
from apps.oversight.domain.binding import exact
from apps.oversight.domain.grants import (
    ANY,
    EQUAL,
    MOST_CHARACTERS,
    MOST_VALUES,
    ONE_OF,
    RANGE,
    FieldBound,
    fault,
    kind_of,
    number_of,
)
from apps.oversight.domain.showing import text_of

TO = " to "
MOST_CENTS = 10**12
AMOUNT = re.compile(r"\$?\s*(?P<number>(\d+|\d{1,3}(,\d{3})+)(\.\d{1,2})?)", re.ASCII)
CHOICES = {
    EQUAL: "exactly this",
    ONE_OF: "one of these",
    RANGE: "in this range",
    ANY: "any of its type",
}


def takes_for(value: Any) -> list[str]:
    """What a field may be bound by, whose value in the request is this."""
    kind = kind_of(value)
    if kind == "number":
        return [EQUAL, ONE_OF, RANGE, ANY]
    if kind == "text":
        return [EQUAL, ONE_OF, ANY]
    return [EQUAL] if kind == "nothing" else [EQUAL, ANY]


def typed(name: str, value: Any, takes: str, text: str) -> FieldBound:
    """The bound that somebody typed for a field whose value in the request is ``value``. Raises
    ``ValueError`` with what to mend."""
    kind = kind_of(value)
    if takes not in takes_for(value):
        raise ValueError(f"A {kind} can't be bound so.")
    if takes == EQUAL:
        return FieldBound(name, EQUAL, (value,))
    if takes == ANY:
        return FieldBound(name, ANY, kind=kind)
    parts = text.split(TO) if takes == RANGE else text.splitlines()
    values = [_value(part.strip(), kind) for part in parts if part.strip()]
    if takes == ONE_OF and value not in values:
        values.append(value)  # the request itself is covered
    if len(values) > MOST_VALUES:
        raise ValueError(f"At most {MOST_VALUES} values.")
    found = FieldBound(name, takes, tuple(values))
    if why := fault(found):
        example = " Write them as: 0 to 500" if takes == RANGE else ""
        raise ValueError(f"{why}{example}")
    return found


def _value(text: str, kind: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"At most {MOST_CHARACTERS} characters a value.")
    if kind != "number":
        return text
    try:
        return exact(exactjson.number(text))
    except (NotCarriedError, ValueError) as error:
        raise ValueError(f"“{text}” is no number.") from error


def cents(text: str) -> int:
    """How many cents an amount is, as it was typed: commas part thousands and nothing else, so that
    1,50 is not 150. Raises ``ValueError``."""
    typed_well = AMOUNT.fullmatch(text.strip())
    found = int(Decimal(typed_well["number"].replace(",", "")) * 100) if typed_well else -1
    if not 0 <= found <= MOST_CENTS:
        most = f"{MOST_CENTS // 100:,}"
        raise ValueError(f"Write an amount, such as 120.50. To the cent, and {most} at most.")
    return found


def words(bound: FieldBound) -> str:
    """What the field may be, for whoever confirms it."""
    said = [value_words(value) for value in bound.values]
    if bound.takes == RANGE:
        return TO.join(said)
    if bound.takes == ANY:
        return f"any {bound.kind}"
    return " or ".join(said) if bound.takes == ONE_OF else "".join(said)


def value_words(value: Any) -> str:
    """A value as it stands in bounds, for people; text in quotation marks, so that “5” is not 5."""
    if (number := number_of(value)) is not None:
        return exactjson.number_text(number)
    return f"“{value}”" if isinstance(value, str) else text_of(_plain(value))


def _plain(value: Any) -> Any:
    if (number := number_of(value)) is not None:
        return number
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
