"""A checkpoint: how many events the log had at a moment, and the hash of the last of them, signed.

A chain alone doesn't show that its tail was cut off, nor that all of it was written anew with new
hashes. A checkpoint that is kept where the log is not shows both: the event at its place has to
bear its hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PURPOSE = b"tower.audit.checkpoint.v1\x00"
EVERY_EVENTS, EVERY_S = 1_000, 300.0
_FIELDS = {"v", "count", "head", "at", "key", "signature"}
_MOST_LINE = 1_000  # characters
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST_COUNT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One checkpoint. ``at`` is the database's clock."""

    count: int
    head: str
    at: datetime
    key_id: str = ""
    signature: str = ""

    @property
    def payload(self) -> dict[str, Any]:
        """What is signed."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return {"v": 1, "count": self.count, "head": self.head, "at": at}

    @property
    def line(self) -> str:
        """It as a line of a file."""
        return json.dumps(self.payload | {"key": self.key_id, "signature": self.signature})


def is_due(counted: int, since: datetime, count: int, now: datetime) -> bool:
    """Whether a log of ``count`` events has grown, or lain, enough for another one since that of
    ``counted`` events (none: since its first event)."""
    is_old = (now - since).total_seconds() >= EVERY_S
    return count > counted and (is_old or count - counted >= EVERY_EVENTS)


def read(line: str) -> SignedHead:
    """The checkpoint of a line. Raises ``ValueError`` for one that holds anything else."""
    if len(line) > _MOST_LINE:
        raise ValueError("it is too long")
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, Mapping) or set(found) != _FIELDS or found["v"] != 1:
        raise ValueError("it isn't a checkpoint of version 1")
    return head_of(found, found["key"], found["signature"])


def head_of(told: Mapping[str, Any], key_id: Any = "", signature: Any = "") -> SignedHead:
    """What some fields say of a head. Raises ``ValueError`` for values that no checkpoint has."""
    count, words = told.get("count"), [told.get("head"), told.get("at"), key_id, signature]
    if type(count) is not int or not 0 < count <= _MOST_COUNT:
        raise ValueError("its count is no number of events")
    head, at, key_id, signature = (w if isinstance(w, str) and w.isascii() else None for w in words)
    if head is None or not _HASH.fullmatch(head):
        raise ValueError("its head is no hash")
    if at is None or key_id is None or signature is None:
        raise ValueError("a field is no plain text")
    return SignedHead(count, head, _time(at), key_id, signature)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("its time has no zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("its time is none of the calendar") from None
