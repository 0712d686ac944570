"""Codes of an authenticator app (TOTP, RFC 6238: SHA-1, 6 digits, 30 s) and recovery codes. Pure.

A code counts from one step before its time to one after, for clocks that are off; which step was
used last is kept, so that a code that somebody read over a shoulder is worth nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote

import pyotp

STEP_S = 30
DIGITS = 6
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 random bits: nothing to guess that a slow hash would protect


def new_secret() -> str:
    """160 random bits in base 32."""
    return pyotp.random_base32(32)


def step_of(secret: str, code: str, *, now_s: float, after: int) -> int | None:
    """The step of time that ``code`` is of, if it is one of the three that count now and comes
    after the one that was used last."""
    typed = "".join(code.split())
    if not (typed.isascii() and typed.isdigit() and len(typed) == DIGITS):
        return None
    machine, current = pyotp.HOTP(secret, digits=DIGITS), int(now_s // STEP_S)
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(machine.at(step), typed) and step > after:
            return step
    return None


def address_of(secret: str, *, username: str, issuer: str) -> str:
    """What the QR code says (``otpauth://``)."""
    label = quote(f"{issuer}:{username}")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}"


def new_recovery_codes() -> list[str]:
    """Ten codes as people write them down: four groups of four letters and digits."""
    return [_grouped(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]


def recovery_digest(code: str) -> str:
    """What is kept of one, the same however it is typed."""
    letters = "".join(one for one in code.upper() if one.isascii() and one.isalnum())
    return hashlib.sha256(f"recovery:{letters}".encode()).hexdigest()


def _grouped(random: bytes) -> str:
    letters = base64.b32encode(random).decode()
    return "-".join(letters[n : n + 4] for n in range(0, len(letters), 4))
