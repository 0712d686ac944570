"""Keys that sign decisions (Ed25519, RFC 8032), in files outside the database.

One private key signs, readable by its owner only. The key ring beside it holds the public half of
every key that ever signed here, a line each: a decision stays provable after its key was replaced.
A revoked key's line says so, and what it signed counts no more. The ring is only appended to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from apps.kernel.canonical import canonical_bytes

PURPOSE = b"tower.decision.v1\x00"
ADDED, REVOKED = "added", "revoked"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One line of the key ring: ``added`` and ``revoked`` are moments as they were written."""

    key_id: str
    key: Ed25519PublicKey
    added: str
    revoked: str = ""


def sign(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Ed25519 over the canonical payload: base64 signature and the id of the key."""
    path = Path(settings.APPROVAL_KEY_FILE)
    if not path.exists():
        with suppress(FileExistsError):
            _create(path)
    key = _private_key()
    signature = key.sign(PURPOSE + canonical_bytes(dict(payload)))
    return base64.b64encode(signature).decode(), key_id_of(key.public_key())


def verify(payload: Mapping[str, Any], signature: str, key_id: str) -> bool:
    """Whether this very payload was signed with a key of the ring that wasn't revoked."""
    known = ring().get(key_id)
    return known is not None and not known.revoked and signs_for(known.key, payload, signature)


def signs_for(key: Ed25519PublicKey, payload: Mapping[str, Any], signature: str) -> bool:
    """Whether this very payload was signed with the private half of ``key``."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, PURPOSE + canonical_bytes(dict(payload)))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id_of(key: Ed25519PublicKey) -> str:
    """A short name of a public key: the start of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def ring() -> Mapping[str, PublicKey]:
    """Every public key by its id. Read again whenever the file changed; a line that can't be read
    is no key. Whoever only verifies needs no private key, and makes none."""
    with suppress(FileNotFoundError, PermissionError):
        _private_key()  # puts a key that is older than its ring into it
    path = Path(settings.APPROVAL_KEYRING_FILE)
    try:
        return _read_ring(str(path), _mark(path))
    except FileNotFoundError:
        return {}


def rotate() -> str:
    """Let a new key sign from now on; returns its id. What the old one signed stays valid."""
    ring()  # keeps the old one's public half, if it is older than its ring
    path = Path(settings.APPROVAL_KEY_FILE)
    key = Ed25519PrivateKey.generate()
    _append(ADDED, key.public_key())  # first: a signature is never older than its key's line
    os.replace(_written(path, key), path)
    return key_id_of(key.public_key())


def revoke(key_id: str) -> None:
    """Let nothing count any more that this key signed. Raises LookupError when the ring has no such
    key, and ValueError for the one that signs now (rotate first), or where nobody can see which
    that is."""
    known = ring().get(key_id)
    if known is None:
        raise LookupError(f"The key ring has no key {key_id}.")
    try:
        signing = _private_key()
    except (FileNotFoundError, PermissionError):
        raise ValueError(
            "The key that signs now can't be read here: revoke where it lies, then copy the ring."
        ) from None
    if key_id == key_id_of(signing.public_key()):
        raise ValueError(f"Key {key_id} signs now: rotate first, then revoke it.")
    _append(REVOKED, known.key)


def _private_key() -> Ed25519PrivateKey:
    path = Path(settings.APPROVAL_KEY_FILE)
    return _read_key(str(path), settings.APPROVAL_KEYRING_FILE, _mark(path))


def _mark(path: Path) -> tuple[int, int, int]:
    """What changes when somebody puts another file there, or writes into it."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _read_key(file: str, ring_file: str, mark: tuple[int, int, int]) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(Path(file).read_text()))
    known = _lines(ring_file)
    if key_id_of(key.public_key()) not in known:  # a key that is older than its ring
        _append(ADDED, key.public_key())
    return key


@lru_cache(maxsize=8)
def _read_ring(file: str, mark: tuple[int, int, int]) -> Mapping[str, PublicKey]:
    return _lines(file)


def _lines(file: str) -> dict[str, PublicKey]:
    known: dict[str, PublicKey] = {}
    with suppress(FileNotFoundError):
        for line in Path(file).read_text(errors="replace").splitlines():
            _take(line, known)
    return known


def _take(line: str, known: dict[str, PublicKey]) -> None:
    what, _, rest = line.partition(" ")
    encoded, _, at = rest.partition(" ")
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return
    key_id = key_id_of(key)  # computed, never read: a line can't give its key another's name
    if what == ADDED:
        known.setdefault(key_id, PublicKey(key_id, key, at))
    elif what == REVOKED:
        known[key_id] = replace(known.get(key_id) or PublicKey(key_id, key, ""), revoked=at)


def _append(what: str, key: Ed25519PublicKey) -> None:
    """One line in one write at the end of the file: two who append at once don't mix."""
    encoded = base64.b64encode(key.public_bytes_raw()).decode()
    line = f"{what} {encoded} {datetime.now(UTC).isoformat(timespec='seconds')}\n"
    path = Path(settings.APPROVAL_KEYRING_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    """Write a new key whole and give it its name in one step: of two processes that start at once
    one wins, and nobody ever reads half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = _written(path, Ed25519PrivateKey.generate())
    try:
        os.link(name, path)
    finally:
        os.unlink(name)


def _written(path: Path, key: Ed25519PrivateKey) -> str:
    """The key in a file of its own beside ``path``, to be given its name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".approval-")  # mkstemp: 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(base64.b64encode(key.private_bytes_raw()).decode() + "\n")
    return name
