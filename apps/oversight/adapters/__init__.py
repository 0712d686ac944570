"""The keys that sign decisions: which signs now, and which signatures still count."""

from __future__ import annotations

from apps.oversight.adapters.keys import (
    PublicKey,
    key_id_of,
    revoke,
    ring,
    rotate,
    sign,
    signs_for,
    verify,
)

__all__ = [
    "PublicKey",
    "key_id_of",
    "revoke",
    "ring",
    "rotate",
    "sign",
    "signs_for",
    "verify",
]
