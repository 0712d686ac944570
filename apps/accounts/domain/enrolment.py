"""Enrolment codes: what an admin hands to a person instead of a password. Pure.

160 random bits as eight groups of four letters and digits (base 32), so that one can be printed,
read aloud and typed. Only its SHA-256 is kept: with so many random bits there is nothing to guess
that a slow hash would protect.
"""

from __future__ import annotations

import base64
import hashlib

RANDOM_BYTES = 20
GROUP = 4


def mint(random: bytes) -> str:
    """A code from ``RANDOM_BYTES`` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a code is made of {RANDOM_BYTES} random bytes")
    letters = base64.b32encode(random).decode()
    return "-".join(letters[n : n + GROUP] for n in range(0, len(letters), GROUP))


def digest_of(code: str) -> str:
    """What is kept of a code: hex SHA-256, the same however its letters are typed and parted."""
    letters = "".join(one for one in code.upper() if one.isascii() and one.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()
