"""Asking a tool by the idempotency key whether a call was carried out: what its answer proves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from apps.calls.domain.envelope import clean
from apps.kernel import exactjson
from apps.kernel.canonical import canonical_bytes


class Looked(StrEnum):
    """What asking the tool by the idempotency key came to."""

    FOUND = "found"
    ABSENT = "absent"
    OTHER = "other"  # the key is known, for another call
    SILENT = "silent"  # the tool could not be asked, or made no sense
    LATE = "late"  # not asked at all: its own answer came after its worker was given up


LOOKED_WORDS = {
    Looked.FOUND: "the tool knows the key: it happened",
    Looked.ABSENT: "the tool doesn't know the key",
    Looked.OTHER: "the tool knows the key, but for another call",
    Looked.SILENT: "the tool gave no usable answer",
    Looked.LATE: "the tool's own answer came late: it happened",
}


def read_answer(answer: Any, *, tool: str, arguments: Mapping[str, Any]) -> Looked:
    """Read a look-up's answer ``{"found", "tool", "args_digest", "result"}``. It proves the call
    only if what it names, tool and SHA-256 of the canonical arguments, is this very call."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("found"), bool):
        return Looked.SILENT
    if not answer["found"]:
        return Looked.ABSENT
    ours = hashlib.sha256(canonical_bytes(dict(arguments))).hexdigest()
    # Tuples, since what came may be a list, which no set can be asked for.
    same = answer.get("tool") in (None, tool) and answer.get("args_digest") in (None, ours)
    return Looked.FOUND if same else Looked.OTHER


def stored_answer(stored: Any) -> tuple[str, Any]:
    """What the tool would have answered, by its look-up: what is told of it, and its value."""
    if isinstance(stored, str):
        return clean(stored), None
    return exactjson.dumps(stored), None
