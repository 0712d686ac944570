"""Secrets that have to be read again (those of authenticator apps), encrypted at rest.

The key is derived from ``SECRET_KEY``, which lies outside the database; what an old key sealed is
read with ``SECRET_KEY_FALLBACKS``.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

PURPOSE = b"tower.accounts.second-factor:"


def seal(secret: str) -> str:
    """``secret``, encrypted and authenticated."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str | None:
    """What ``seal`` was given; ``None`` if no key of ours sealed it."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = (hashlib.sha256(PURPOSE + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
