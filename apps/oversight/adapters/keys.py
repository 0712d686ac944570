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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from apps.audit.adapters import keyfiles
from apps.kernel.canonical import canonical_bytes
from apps.kernel.errors import UnavailableError

PURPOSE = b"tower.decision.v1\x00"
ADDED, REVOKED = "added", "revoked"
NO_TIME = "at a time that its line does not say"  # revoked all the same
WORDS = "Answers can't be signed or checked here: the file {file} {why}."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One line of the key ring: ``added`` and ``revoked`` are moments as they were written."""

    key_id: str
    key: Ed25519PublicKey
    added: str
    revoked: str = ""


class KeyFileError(UnavailableError):
    """A file of keys is not what it has to be, so nothing can be signed or checked by it. It says
    which file, and why."""

    code = "keys"


def sign(payload: Mapping[str, Any], *, purpose: bytes = PURPOSE) -> tuple[str, str]:
    """Ed25519 over the canonical payload: base64 signature and the id of the key. What is signed
    for one purpose is worth nothing for another. Raises ``KeyFileError`` where the signature would
    be worth nothing at all."""
    key = _signing_key()
    signature = key.sign(purpose + canonical_bytes(dict(payload)))
    return base64.b64encode(signature).decode(), key_id_of(key.public_key())


def sign_as_a_machine(payload: Mapping[str, Any], *, purpose: bytes) -> tuple[str, str]:
    """The same for the tower's own word. A key is made only where there is no ring either: else
    this machine is one of several, and lacks the key that signs on the others."""
    key, known = Path(settings.APPROVAL_KEY_FILE), Path(settings.APPROVAL_KEYRING_FILE)
    if known.exists() and not key.exists():
        raise KeyFileError(WORDS.format(file=key, why="is not there, though its ring is"))
    return sign(payload, purpose=purpose)


def verify(
    payload: Mapping[str, Any], signature: str, key_id: str, *, purpose: bytes = PURPOSE
) -> bool:
    """Whether this very payload was signed with a key of the ring that wasn't revoked. Raises
    ``KeyFileError`` where the ring can't be read: then nobody knows."""
    known = ring().get(key_id)
    if known is None or known.revoked:
        return False
    return signs_for(known.key, payload, signature, purpose=purpose)


def signs_for(
    key: Ed25519PublicKey, payload: Mapping[str, Any], signature: str, *, purpose: bytes = PURPOSE
) -> bool:
    """Whether this very payload was signed with the private half of ``key``."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, purpose + canonical_bytes(dict(payload)))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id_of(key: Ed25519PublicKey) -> str:
    """A short name of a public key: the start of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def ring() -> Mapping[str, PublicKey]:
    """Every public key by its id. Read again whenever the file changed; a line that can't be read
    is no key. Whoever only verifies needs no private key, and makes none: whatever is wrong with
    one is the trouble of who signs. Raises ``KeyFileError`` where there is no ring to read."""
    with suppress(KeyFileError):
        _private_key()  # puts a key that is not in its ring into it
    path = Path(settings.APPROVAL_KEYRING_FILE)
    with _in_words(path):
        try:
            return _read_ring(str(path), _mark(path))
        except FileNotFoundError:
            raise KeyFileError(WORDS.format(file=path, why="is not there")) from None


def trouble() -> str:
    """Why answers can't be signed or checked here; empty if they can, or nobody has answered."""
    found = (settings.APPROVAL_KEY_FILE, _signing_key), (settings.APPROVAL_KEYRING_FILE, ring)
    try:
        for file, look in found:
            with _in_words(file):
                if os.path.lexists(file):
                    look()
    except KeyFileError as error:
        return str(error)
    return ""


def rotate() -> str:
    """Let a new key sign from now on; returns its id. What the old one signed stays valid."""
    with suppress(KeyFileError):
        _private_key()  # keeps the old one's public half, if it is older than its ring
    path = Path(settings.APPROVAL_KEY_FILE)
    key = Ed25519PrivateKey.generate()
    _append(ADDED, key.public_key())  # first: a signature is never older than its key's line
    with _in_words(path):
        keyfiles.replace(path, _text(key))
    return key_id_of(key.public_key())


def revoke(key_id: str) -> None:
    """Let nothing count any more that this key signed. Raises LookupError when the ring has no such
    key, and ValueError for the one that signs now (rotate first), or where nobody can see which
    that is."""
    known = ring().get(key_id)
    if known is None:
        raise LookupError(f"The key ring has no key {key_id}.")
    signing = None
    with suppress(KeyFileError):
        signing = _private_key()
    if signing is None:
        raise ValueError(
            "The key that signs now can't be read here: revoke where it lies, then copy the ring."
        )
    if key_id == key_id_of(signing.public_key()):
        raise ValueError(f"Key {key_id} signs now: rotate first, then revoke it.")
    _append(REVOKED, known.key)


@contextmanager
def _in_words(file: str | Path) -> Iterator[None]:
    """What is wrong with a file of keys, for whoever can mend it."""
    try:
        yield
    except OSError as error:
        why = f"can't be read or written ({error.strerror or error})"
    except ValueError:
        why = "holds no key"
    else:
        return
    raise KeyFileError(WORDS.format(file=file, why=why))


def _signing_key() -> Ed25519PrivateKey:
    """The key that signs now, made if there is none yet."""
    path = Path(settings.APPROVAL_KEY_FILE)
    with _in_words(path):
        if not path.exists():
            with suppress(FileExistsError):
                keyfiles.create(path, _text(Ed25519PrivateKey.generate()))
    key = _private_key()
    if key is None:
        raise KeyFileError(WORDS.format(file=path, why="leads nowhere"))
    known = ring().get(key_id_of(key.public_key()))
    if known is None or known.revoked:
        why = "holds a key that was revoked; another has to sign (approval_keys rotate)"
        raise KeyFileError(WORDS.format(file=path, why=why))
    return key


def _private_key() -> Ed25519PrivateKey | None:
    """The private key, whose public half is in the ring; nothing if there is none here."""
    path = Path(settings.APPROVAL_KEY_FILE)
    with _in_words(path):
        try:
            key = _read_key(str(path), _mark(path))
        except FileNotFoundError:
            return None
    ring_file = Path(settings.APPROVAL_KEYRING_FILE)
    known: Mapping[str, PublicKey] = {}
    with _in_words(ring_file), suppress(FileNotFoundError):
        known = _read_ring(str(ring_file), _mark(ring_file))
    if key_id_of(key.public_key()) not in known:  # older than its ring, or than who replaced it
        _append(ADDED, key.public_key())
    return key


def _mark(path: Path) -> tuple[int, int, int]:
    """What changes when somebody puts another file there, or writes into it."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _read_key(file: str, mark: tuple[int, int, int]) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(Path(file).read_text()))


@lru_cache(maxsize=8)
def _read_ring(file: str, mark: tuple[int, int, int]) -> Mapping[str, PublicKey]:
    known: dict[str, PublicKey] = {}
    for line in Path(file).read_text("utf-8-sig", errors="replace").splitlines():
        _take(line, known)
    return known


def _take(line: str, known: dict[str, PublicKey]) -> None:
    what, encoded, at = [*line.split(maxsplit=2), "", "", ""][:3]
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return
    key_id = key_id_of(key)  # computed, never read: a line can't give its key another's name
    if what == ADDED:
        known.setdefault(key_id, PublicKey(key_id, key, at))
    elif what == REVOKED:
        known[key_id] = replace(
            known.get(key_id) or PublicKey(key_id, key, ""), revoked=at or NO_TIME
        )


def _append(what: str, key: Ed25519PublicKey) -> None:
    encoded = base64.b64encode(key.public_bytes_raw()).decode()
    path, at = Path(settings.APPROVAL_KEYRING_FILE), datetime.now(UTC).isoformat(timespec="seconds")
    with _in_words(path):
        keyfiles.append(path, f"{what} {encoded} {at}", mode=0o644)


def _text(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.private_bytes_raw()).decode() + "\n"
