"""What stands for a hidden value: ``⟦label:32 hexadecimal digits⟧``.

The digits are the first half of an HMAC-SHA-256 (RFC 2104) over the label and the value's canonical
form, with a key of this tower: equal values have equal tokens, so that what compares, joins or
counts them goes on working, and without the key nobody can try values out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from apps.kernel.canonical import canonical_bytes

PURPOSE = b"tower.redaction.v1"
OPENS = "⟦"
TOKEN = re.compile(r"⟦[A-Za-z0-9_-]{1,40}:[0-9a-f]{32}⟧")


def token_of(key: bytes, label: str, value: Any) -> str:
    """The token of a value of ours. Raises what ``canonical_bytes`` raises for any other."""
    said = b"\x00".join((PURPOSE, label.encode(), canonical_bytes(value)))
    return f"⟦{label}:{hmac.new(key, said, hashlib.sha256).hexdigest()[:32]}⟧"


def label_in(token: str) -> str:
    """The label that a token begins with."""
    return token[1:].partition(":")[0]


def is_token(value: object) -> bool:
    """Whether this is one token and nothing else."""
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None
