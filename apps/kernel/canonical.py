"""One byte string for one value, so that a digest can bind an approval to what will run.

Canonical form is RFC 8785 (JSON Canonicalization Scheme), which knows only the numbers that a
double carries. Any other number is written with all its digits, without exponent or needless
zeros, so that every value of ours has one form and no two share one. The digest is SHA-256 over it,
with a domain-separation prefix so that a digest made for one purpose can't pass for another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

import orjson
import rfc8785

from apps.kernel import exactjson

_SAFE = 2**53 - 1
_PLAIN_DIGITS = 21  # from 10 to the power of 21 on the RFC writes an exponent
_STRICT = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_FLOAT = re.compile(rb"\d[.eE]|null")  # might be one; NaN is written as null


def canonical_bytes(value: Any) -> bytes:
    """The canonical bytes of a value of ours (``exactjson``); equal values have equal bytes. Raises
    ``rfc8785.CanonicalizationError`` for what is none: NaN, half a surrogate pair, other types."""
    try:
        written = orjson.dumps(value, option=_STRICT | orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # long numbers, or no value of ours
        return _carefully(value)
    if (written.isascii() and not _FLOAT.search(written)) or _is_plain(value):
        return written
    return _carefully(value)


def _carefully(value: Any) -> bytes:
    try:
        return orjson.dumps(_arranged(value), option=_STRICT)
    except orjson.JSONEncodeError as error:
        raise rfc8785.CanonicalizationError(str(error)) from error


def _arranged(value: Any) -> Any:
    """A copy with its keys in the RFC's order and its numbers as it writes them."""
    if isinstance(value, Mapping):
        return {key: _arranged(value[key]) for key in sorted(value, key=_utf_16)}
    if isinstance(value, list | tuple):
        return [_arranged(item) for item in value]
    return orjson.Fragment(_number(value)) if exactjson.is_number(value) else value


def _utf_16(key: Any) -> bytes:
    if not isinstance(key, str):
        raise rfc8785.CanonicalizationError(f"object keys must be strings, not {key!r}")
    return key.encode("utf-16-be", errors="surrogatepass")


def _number(value: exactjson.Number) -> bytes:
    """The RFC's text of a number that a double carries; else all its digits, without exponent."""
    if isinstance(value, float):
        text = repr(value)
        is_usual = "." in text and "e" not in text and not value.is_integer()
        return text.encode() if is_usual else rfc8785.dumps(value)
    text = exactjson.number_text(value)
    if isinstance(value, int) and len(text) <= _PLAIN_DIGITS:
        return text.encode()
    nearest = float(text)
    carries = isfinite(nearest) and Decimal(repr(nearest)) == Decimal(text)
    return rfc8785.dumps(nearest) if carries else text.encode()


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
