"""One byte string for one value, so that a digest can bind an approval to what will run.

Canonical form is RFC 8785 (JSON Canonicalization Scheme); the digest is SHA-256 over it, with a
domain-separation prefix so that a digest made for one purpose can't pass for another.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
import rfc8785

_SAFE = 2**53 - 1
_STRICT = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_FLOAT = re.compile(rb"\d[.eE]|null")  # might be one; NaN is written as null


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises ``rfc8785.CanonicalizationError`` for values that
    JSON can't carry exactly (NaN, integers beyond 2**53 - 1)."""
    try:
        written = orjson.dumps(value, option=_STRICT)
    except orjson.JSONEncodeError:  # text that isn't UTF-8 and the like: let the reference say so
        return rfc8785.dumps(value)
    if (written.isascii() and not _FLOAT.search(written)) or _is_plain(value):
        return written
    return rfc8785.dumps(value)


def digest(value: Any, *, purpose: str) -> str:
    """Hex SHA-256 of ``purpose``, a NUL and the canonical bytes of ``value``."""
    return digest_of_bytes(canonical_bytes(value), purpose=purpose)


def digest_of_bytes(canonical: bytes, *, purpose: str) -> str:
    """``digest`` of a value whose canonical bytes are at hand."""
    return hashlib.sha256(purpose.encode() + b"\x00" + canonical).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether the fast writer gives RFC 8785's bytes. It differs from the RFC in two places only:
    how floats are written, and the order of keys beyond ASCII (bytes there, UTF-16 units here)."""
    kind = type(value)
    if kind is str:
        return True
    if kind is dict:
        return all(type(k) is str and k.isascii() and _is_plain(v) for k, v in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    if kind is int:
        return -_SAFE <= value <= _SAFE
    return kind is bool or value is None
