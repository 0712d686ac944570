"""Write down what happened, in the transaction in which it happened.

After the commit the bell rings: live pages are told, and subscribers that take a hint hear of it at
once. All of that may be lost: the events are not, and ``delivering`` brings them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string

from apps.audit import fanout, registry
from apps.audit.domain.actors import Actor
from apps.audit.domain.caller import VIA, caller
from apps.kernel.statements import fetch, rows_as_json
from apps.kernel.transactions import after_commit, command, participant

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to record. ``payload`` holds ids, numbers and short words, never secrets; what is
    recorded on a request bears that under ``via`` (see ``domain.caller``)."""

    kind: str
    actor: Actor
    subject_type: str
    subject_id: str
    run_id: UUID | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice(Fact):
    """An event as a subscriber hears of it. ``position``: its place in the sealed log; ``None`` in
    a hint."""

    id: int = 0
    position: int | None = None


_RECORD = """
    INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, run_id, payload, hash)
    SELECT clock_timestamp(), v.kind, v.actor, v.subject_type, v.subject_id, v.run_id, v.payload, ''
    FROM jsonb_to_recordset(%s::jsonb) AS v(n int, kind text, actor text, subject_type text,
        subject_id text, run_id uuid, payload jsonb)
    ORDER BY v.n RETURNING id
"""


@participant
def record(
    *,
    kind: str,
    actor: Actor,
    subject_type: str,
    subject_id: object,
    run_id: UUID | None = None,
    payload: Mapping[str, Any] | None = None,
) -> int:
    """Insert one event; after commit tell the live streams and the subscribers of its kind.
    Returns the event's id."""
    fact = Fact(kind, actor, subject_type, str(subject_id), run_id, payload or {})
    return record_many([fact])[0]


@participant
def record_many(facts: Sequence[Fact]) -> list[int]:
    """Insert events in one statement, in the order given; bells ring after commit."""
    if not facts:
        return []
    on_request = caller()
    via = {VIA: on_request.told} if on_request else {}
    rows = [
        {
            "n": n,
            "kind": f.kind,
            "actor": _text(f.actor),
            "subject_type": f.subject_type,
            "subject_id": f.subject_id,
            "run_id": f.run_id,
            "payload": {**f.payload, **via} if via else f.payload,
        }
        for n, f in enumerate(facts)
    ]
    ids = [row[0] for row in fetch(_RECORD, [rows_as_json(rows)])]
    after_commit(partial(_ring, list(zip(ids, facts, strict=True))))
    return ids


def _text(actor: Actor) -> str:
    """A bare string would be a second form of the same actor, for ever."""
    if not isinstance(actor, Actor):
        raise TypeError(f"an event's actor is an Actor, not {type(actor).__name__}")
    return actor.text


def _ring(numbered: list[tuple[int, Fact]]) -> None:
    latest: dict[str, tuple[int, Fact]] = {}
    for seq, fact in numbered:
        for stream in registry.streams_of(fact.kind, str(fact.run_id) if fact.run_id else None):
            latest[stream] = (seq, fact)
    fanout.tick_many([(s, seq, f.kind, f.subject_id) for s, (seq, f) in latest.items()])
    for subscriber in registry.subscribers():
        if not subscriber.hint:
            continue
        heard = [(n, f) for n, f in numbered if subscriber.hears(f.kind)]
        if heard:
            _hint(subscriber.handler, heard)


def _hint(handler: str, heard: Sequence[tuple[int, Fact]]) -> None:
    """Call a subscriber ahead of the delivery; whatever goes wrong is left to that."""
    notices = [
        Notice(f.kind, f.actor, f.subject_type, f.subject_id, f.run_id, f.payload, id=n)
        for n, f in heard
    ]
    try:
        command(import_string(handler))(notices)
    except Exception:
        logger.warning("a hint to %s failed; the delivery will tell it", handler, exc_info=True)
