"""The second confirmation of a critical approval: the amount, or the object, in the person's own
typing. It is compared on the server."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

CRITICAL = 4
PLAIN = re.compile(r"[A-Za-z0-9#_.:-]{2,60}")
ID = re.compile(r"(?:.*[_.:-])?(?:id|Id|ID)|.*[a-z0-9]Id")  # order_id, orderId; not paid
AMOUNT = re.compile(r"(-?)[$€£]?(\d{1,18}(?:\.\d{1,2})?)[$€£]?")
GROUPS = re.compile(r"(?<=\d)[, ](?=\d{3}(?!\d))")
TAIL = 8  # characters of a digest that a page shows


@dataclass(frozen=True, slots=True)
class Challenge:
    """What has to be typed. ``cents`` where it is an amount; else ``text``."""

    label: str
    text: str = ""
    cents: int | None = None

    def is_met(self, typed: str) -> bool:
        """Whether this was typed. Amounts are compared by value, names whatever their case."""
        if self.cents is not None:
            return cents_of(typed) == self.cents
        return _plain(typed).casefold() == self.text.casefold()

    def why_not(self, typed: str) -> str:
        """What is wrong with what was typed; nothing if it fits. It never tells the answer."""
        if self.is_met(typed):
            return ""
        what = f"{self.label[0].lower()}{self.label[1:]}"
        if not typed.strip():
            return f"This is critical: type {what} to confirm it."
        return f"What you typed is not {what}. Look at the request again, then type it."


def challenge(
    *, risk: int, amount_cents: int | None, arguments: Any, digest: str
) -> Challenge | None:
    """What an approval of this has to be confirmed with; nothing below critical. The amount that
    moves, else the object that the call names, else the end of the digest on the sheet."""
    if risk < CRITICAL:
        return None
    if amount_cents:
        return Challenge("The amount", cents=amount_cents)
    if found := _object(arguments):
        name, text = found
        return Challenge(f"The {name.replace('_', ' ')}", text)
    return Challenge("The last eight characters of the digest above", digest[-TAIL:])


def _object(arguments: Any) -> tuple[str, str] | None:
    """The first argument that is the id of something and that a keyboard can type."""
    if not isinstance(arguments, Mapping):
        return None
    for name in sorted(key for key in arguments if isinstance(key, str)):
        value = arguments[name]
        is_id = PLAIN.fullmatch(name) and ID.fullmatch(name)
        if is_id and isinstance(value, str) and PLAIN.fullmatch(value):
            return name, value
    return None


def cents_of(typed: str) -> int | None:
    """An amount as people type it: ``$6,178.00``, ``6178``, ``6 178.00``. Nothing for what could be
    read in two ways."""
    text = GROUPS.sub("", _plain(typed).replace("\u202f", " ").replace("\u00a0", " "))
    found = AMOUNT.fullmatch(text.replace(" ", ""))
    return int(Decimal(found[1] + found[2]) * 100) if found else None


def _plain(typed: str) -> str:
    return unicodedata.normalize("NFKC", typed).strip()
