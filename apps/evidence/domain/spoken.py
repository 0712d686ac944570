"""How a value is spoken of: the ways in which an agent may have written it to a customer."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from apps.evidence.domain.readers import is_unspoken, more_dates
from apps.kernel.exactjson import Number, is_number, number_text

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
MONTHS_ELSEWHERE = tuple(
    names.split()
    for names in (
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre"
        " dicembre",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
    )
)
OF = (" ", ". ", " de ", "º de ", "er ")  # 20 mai, 20. Mai, 20 de mayo, 1er mai
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def value_forms(name: str, value: Any) -> list[str]:
    """Lower-case forms of a value, any of which says it; empty when it needn't be said."""
    if isinstance(value, bool) or value is None or is_unspoken(name, str(value).strip().casefold()):
        return []
    if is_number(value):
        return number_forms(value)
    text = str(value).strip().casefold()
    if len(text) < 2 or text in {"yes", "no"}:
        return []
    if ISO_DATE.match(text):
        return date_forms(text)
    return sorted({text, text.lstrip("#"), text.replace("_", " "), text.replace("_", "-")})


def number_forms(value: Number) -> list[str]:
    """``3`` → 3, three; ``1234.5`` → 1234.5, 1234.50, 1,234.50; 0 needn't be said."""
    whole, _, rest = number_text(value).partition(".")
    if not rest:
        return [] if value == 0 else [whole, _in_thousands(whole), *_in_words(value)]
    padded = rest.ljust(2, "0")
    return [f"{whole}.{rest}", f"{whole}.{padded}", f"{_in_thousands(whole)}.{padded}"]


def _in_thousands(whole: str) -> str:
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.removeprefix('-')):,}"


def _in_words(value: Number) -> list[str]:
    if not 0 < value < len(WORDS):
        return []
    return [WORDS[int(value)], *(["a ", "an "] if value == 1 else [])]


def date_forms(text: str) -> list[str]:
    """``2024-05-20`` → also May 20, 20 May, 20 mai, the 20th, and what readers add (5/20). No such
    day: only as written."""
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
        *(f"{number}{of}{names[day.month - 1]}" for names in MONTHS_ELSEWHERE for of in OF),
        *more_dates(day),
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
