"""How a value is spoken of: the ways in which an agent may have written it to a customer."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

# Spoken of in other words, or of no concern to the customer.
NOT_SPOKEN = re.compile(r"(^|_)(user|payment|payment_method|payment_methods)_?(id)?$|item_ids$")
ISO_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def value_forms(name: str, value: Any) -> list[str]:
    """Lower-case forms of a value, any of which says it; empty when it needn't be said."""
    if NOT_SPOKEN.search(name) or isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return number_forms(value)
    text = str(value).strip().casefold()
    if len(text) < 2 or text in {"yes", "no", "usa"}:
        return []
    if ISO_DATE.match(text):
        return date_forms(text)
    return sorted({text, text.lstrip("#"), text.replace("_", " "), text.replace("_", "-")})


def number_forms(value: float) -> list[str]:
    """``3`` → 3, three; 0 needn't be said."""
    if value == 0:
        return []
    whole = int(value)
    forms = [f"{value:g}", f"{value:,.0f}"] if whole == value else [f"{value:.2f}", f"{value:,.2f}"]
    if whole == value and 0 < whole < len(WORDS):
        forms.append(WORDS[whole])
        if whole == 1:
            forms += ["a ", "an "]
    return forms


def date_forms(text: str) -> list[str]:
    """``2024-05-20`` → also May 20, 20 May, 5/20, 05/20, the 20th. No such day: only as written."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return [text]
    month = MONTHS[day.month - 1]
    number = str(day.day)
    months = (month, month[:3])
    return [
        text,
        *(f"{m} {number}" for m in months),
        *(f"{m}. {number}" for m in months),
        *(f"{m} {number.zfill(2)}" for m in months),
        *(f"{number} {m}" for m in months),
        *(f"{number}{suffix} of {m}" for m in months for suffix in ("st", "nd", "rd", "th")),
        f"{day.month}/{day.day}",
        f"{day.month:02}/{day.day:02}",
    ]


def amount_forms(cents: int) -> list[str]:
    """``123450`` → 1234.50, 1234.5; whole amounts also without decimals. Sign left out."""
    cents = abs(cents)
    whole, rest = divmod(cents, 100)
    forms = [f"{whole}.{rest:02}"]
    if rest % 10 == 0 and rest:
        forms.append(f"{whole}.{rest // 10}")
    if rest == 0:
        forms.append(str(whole))
    return forms
