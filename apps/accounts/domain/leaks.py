"""Passwords known from leaks, by the range protocol of Have I Been Pwned: who is asked hears the
first 5 of the 40 hexadecimal digits of a password's SHA-1, which many known passwords share, and
answers with the other digits of all of them. Pure."""

from __future__ import annotations

import hashlib
import re

from apps.accounts.domain.provider import is_trusted_address

SENT = 5
MOST_CHARACTERS = 300  # of an address
_LINE = re.compile(r"([0-9A-F]{35}):([0-9,]{1,20})")


def service_of(text: str) -> str:
    """The address as it is set; empty for none. Raises ``ValueError``."""
    is_one = is_trusted_address(text) and text.endswith("/") and len(text) <= MOST_CHARACTERS
    if text and (not is_one or "?" in text):
        raise ValueError(
            "must be an address of https that ends with /, like"
            f" https://api.pwnedpasswords.com/range/; is {text!r}."
        )
    return text


def parted(password: str) -> tuple[str, str]:
    """The digits that are sent, and those that stay here."""
    raw = password.encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest().upper()
    return digest[:SENT], digest[SENT:]


def is_listed(answer: bytes, kept: str) -> bool:
    """Whether an answer has these digits, seen at least once (answers are padded with digits that
    were seen 0 times). Raises ``ValueError`` for what is no such answer."""
    lines = answer.decode("ascii").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    if not found or None in found:
        raise ValueError("the answer has lines that are no digits with a count")
    return any(one[1] == kept and one[2].strip("0,") != "" for one in found if one)
