"""One byte string for one value, so that a digest can bind an approval to what will run.

Canonical form is RFC 8785 (JSON Canonicalization Scheme); the digest is SHA-256 over it, with a
domain-separation prefix so that a digest made for one purpose can't pass for another.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises ``rfc8785.CanonicalizationError`` for values that
    JSON can't carry exactly (NaN, integers beyond 2**53 - 1)."""
    return rfc8785.dumps(value)


def digest(value: Any, *, purpose: str) -> str:
    """Hex SHA-256 of ``purpose``, a NUL and the canonical bytes of ``value``."""
    return hashlib.sha256(purpose.encode() + b"\x00" + canonical_bytes(value)).hexdigest()
