"""The keys that sign decisions: which signs now, and which signatures still count."""

from __future__ import annotations

from apps.oversight.adapters.keys import (
    KeyFileError,
    PublicKey,
    key_id_of,
    revoke,
    ring,
    rotate,
    sign,
    sign_as_a_machine,
    signs_for,
    trouble,
    verify,
)

__all__ = [
    "KeyFileError",
    "PublicKey",
    "key_id_of",
    "revoke",
    "ring",
    "rotate",
    "sign",
    "sign_as_a_machine",
    "signs_for",
    "trouble",
    "verify",
]
