"""Finding out whether a call whose answer was lost happened: what people say, what a tool says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from apps.calls.domain.envelope import clean
from apps.kernel import exactjson
from apps.kernel.canonical import canonical_bytes

LOOK_AGAIN_S = 30.0  # after the first look-up of the tower's own, then twice as long each time
LOOK_AGAIN_LONGEST_S = 3600.0
MOST_LOOK_UPS = 30  # about a day
HIGH = 3  # from this risk on, one person's word is not enough


class FindingVerdict(StrEnum):
    """What a person found out, and what follows from it."""

    HAPPENED = "happened"
    TRY_AGAIN = "try_again"
    GIVE_UP = "give_up"
    UNDO = "compensate"  # the word under which it is stored


class Looked(StrEnum):
    """What asking the tool by the idempotency key came to."""

    FOUND = "found"
    ABSENT = "absent"
    OTHER = "other"  # the key is known, for another call
    SILENT = "silent"  # the tool could not be asked, or made no sense
    LATE = "late"  # not asked at all: its own answer came after its worker was given up


VERDICT_WORDS = {
    FindingVerdict.HAPPENED: "it happened",
    FindingVerdict.TRY_AGAIN: "it did not happen, try again",
    FindingVerdict.GIVE_UP: "it did not happen, leave it undone",
    FindingVerdict.UNDO: "it happened, undo it",
}
LOOKED_WORDS = {
    Looked.FOUND: "the tool knows the key: it happened",
    Looked.ABSENT: "the tool doesn't know the key",
    Looked.OTHER: "the tool knows the key, but for another call",
    Looked.SILENT: "the tool gave no usable answer",
    Looked.LATE: "the tool's own answer came late: it happened",
}


def people_needed(risk: int) -> int:
    """How many people have to say the same."""
    return 2 if risk >= HIGH else 1


def is_agreed(said: Iterable[tuple[int, str]], verdict: FindingVerdict, risk: int) -> bool:
    """Whether enough different people say ``verdict``. ``said``: (person, verdict), oldest first;
    a person's last word counts."""
    last = dict(said)
    return sum(word == verdict for word in last.values()) >= people_needed(risk)


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
