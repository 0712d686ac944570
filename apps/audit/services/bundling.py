"""A stretch of the log with all that proves it, to be taken away and verified without the tower.

Lines of JSON, one entry each: what it is, the public keys, then the events with each checkpoint
behind the event that it counts and the answers behind the events that tell of them, and an end
without which it was cut off. ``deploy/verify.py`` reads it; each event is there as the very text
that its hash covers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from django.utils.module_loading import import_string

from apps.audit import registry
from apps.audit import selectors as log
from apps.audit.domain.actors import Actor
from apps.audit.domain.chain import GENESIS, UnreadEvent, hashed_bytes
from apps.audit.domain.checkpoint import SignedHead
from apps.audit.selectors import Stored
from apps.audit.services.sealing import as_sealed
from apps.audit.services.signing import is_signed
from apps.audit.services.standing import marks_between, marks_of_file
from apps.kernel.statements import database_now

VERSION = 1
MOST_EVENTS = 500_000  # of one bundle
CHUNK = 2_000


@dataclass
class Bundle:
    """What stands between two places of the log, line by line. ``lines`` can be gone through
    once; ``by`` took it away."""

    after: int
    by: Actor
    most: int | None = None  # events; MOST_EVENTS, where it isn't said
    _counts: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[bytes]:
        """The lines, read in parts while they are sent. One that fails half way has no end."""
        head, _ = log.end_of_chain()
        upto = min(head, self.after + (self.most or MOST_EVENTS))
        previous = log.hash_at(self.after) if self.after else GENESIS
        yield _line("bundle", self._told(upto, previous))
        for part in registry.bundle_parts():
            for kind, value in import_string(part.before)():
                yield _line(kind, value)
        marks = _marks(self.after, upto)
        position = self.after
        while position < upto:
            found = log.sealed_after(position, limit=min(CHUNK, upto - position))
            if not found:
                break
            yield from self._chunk(found, previous, marks)
            position, previous = found[-1].position or 0, found[-1].hash
        yield _line("end", self._ended(position, head))

    def _told(self, upto: int, previous: str) -> dict[str, Any]:
        return {
            "v": VERSION,
            "release": settings.RELEASE,
            "made_at": database_now().isoformat(),
            "made_by": self.by.text,
            "after": self.after,
            "upto": upto,
            "previous": previous,
        }

    def _chunk(
        self, found: Sequence[Stored], previous: str, marks: dict[int, list[SignedHead]]
    ) -> Iterator[bytes]:
        for row in found:
            yield self._counted("event", _event(previous, row))
            previous = row.hash
            for mark in marks.get(row.position or 0, ()):
                told = mark.payload | {"key": mark.key_id, "signature": mark.signature}
                yield self._counted("checkpoint", told)
        for part in registry.bundle_parts():
            for kind, value in import_string(part.behind)(found):
                yield self._counted(kind, value)

    def _counted(self, kind: str, value: Mapping[str, Any]) -> bytes:
        self._counts[kind] += 1
        return _line(kind, value)

    def _ended(self, position: int, head: int) -> dict[str, Any]:
        counts = {kind: self._counts[kind] for kind in ("event", "checkpoint", "approval")}
        is_whole = position >= head
        short = (
            f"it holds {self._counts['event']:,} events up to #{position:,} of #{head:,};"
            f" the next one begins after #{position:,}"
        )
        return {"counts": counts, "at_end": is_whole, "short": "" if is_whole else short}


def _line(kind: str, value: Mapping[str, Any]) -> bytes:
    return orjson.dumps({kind: value}) + b"\n"


def _event(previous: str, row: Stored) -> dict[str, Any]:
    position, stored, content = as_sealed(row)
    if isinstance(content, UnreadEvent):  # its hash can't fit, and whoever verifies sees it
        content = row.texts()
    hashed = hashed_bytes(previous, position, content).decode()
    return {"hash": stored, "as": row.sealed_as, "hashed": hashed}


def _marks(after: int, upto: int) -> dict[int, list[SignedHead]]:
    """The signed checkpoints of these events, of database and file, each once."""
    found: dict[int, list[SignedHead]] = {}
    of_file = [m for m in marks_of_file()[0] if after < m.count <= upto]
    for mark in dict.fromkeys([*marks_between(after, upto), *of_file]):
        if is_signed(mark):
            found.setdefault(mark.count, []).append(mark)
    return found
