"""The key that signs decisions: a file outside the database, readable by its owner only."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from apps.kernel.canonical import canonical_bytes

PURPOSE = b"tower.decision.v1\x00"


def sign(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Ed25519 over the canonical payload: base64 signature and the id of the key."""
    key = _private_key(settings.APPROVAL_KEY_FILE)
    signature = key.sign(PURPOSE + canonical_bytes(dict(payload)))
    return base64.b64encode(signature).decode(), key_id_of(key.public_key())


def verify(payload: Mapping[str, Any], signature: str, public_key: Ed25519PublicKey) -> bool:
    """Whether this very payload was signed with the private half of ``public_key``."""
    try:
        raw = base64.b64decode(signature, validate=True)
        public_key.verify(raw, PURPOSE + canonical_bytes(dict(payload)))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key() -> Ed25519PublicKey:
    """The public half of the key in use."""
    return _private_key(settings.APPROVAL_KEY_FILE).public_key()


def key_id_of(key: Ed25519PublicKey) -> str:
    """A short name of a public key: the start of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


@cache
def _private_key(file: str) -> Ed25519PrivateKey:
    path = Path(file)
    with suppress(FileExistsError):
        _create(path)
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_text()))


def _create(path: Path) -> None:
    """Write a new key whole and give it its name in one step: of two processes that start at once
    one wins, and nobody ever reads half a key."""
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".approval-")  # mkstemp: 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            key = Ed25519PrivateKey.generate()
            file.write(base64.b64encode(key.private_bytes_raw()).decode() + "\n")
        os.link(name, path)
    finally:
        os.unlink(name)
