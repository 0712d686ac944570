"""Write down what happened, in the transaction in which it happened, and link it into a chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils.module_loading import import_string

from apps.audit import fanout
from apps.audit.domain.chain import GENESIS, Break, first_break, link
from apps.audit.domain.streams import streams_of
from apps.audit.models import Event
from apps.audit.selectors import content
from apps.kernel.statements import fetch, rows_as_json
from apps.kernel.transactions import after_commit, command, participant

SEAL_LOCK = 7_346_001  # advisory lock: one sealer at a time, so positions never fork


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to record. ``payload`` holds ids, numbers and short words, never secrets."""

    kind: str
    actor: str
    subject_type: str
    subject_id: str
    run_id: UUID | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


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
    actor: str,
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
    rows = [
        {
            "n": n,
            "kind": f.kind,
            "actor": f.actor,
            "subject_type": f.subject_type,
            "subject_id": f.subject_id,
            "run_id": f.run_id,
            "payload": f.payload,
        }
        for n, f in enumerate(facts)
    ]
    ids = [row[0] for row in fetch(_RECORD, [rows_as_json(rows)])]
    after_commit(partial(_ring, list(zip(ids, facts, strict=True))))
    return ids


def _ring(numbered: list[tuple[int, Fact]]) -> None:
    latest: dict[str, tuple[int, Fact]] = {}
    for seq, fact in numbered:
        for stream in streams_of(fact.kind, str(fact.run_id) if fact.run_id else None):
            latest[stream] = (seq, fact)
    fanout.tick_many([(s, seq, f.kind, f.subject_id) for s, (seq, f) in latest.items()])
    for prefix, subscribers in settings.AUDIT_SUBSCRIBERS.items():
        heard = [fact for _, fact in numbered if fact.kind.startswith(prefix)]
        for dotted in subscribers if heard else ():
            import_string(dotted)(heard)


@command
def seal(*, limit: int = 5000) -> int:
    """Give up to ``limit`` unsealed events their position and hash. Ids can commit out of order,
    positions can't: they are given here, under an advisory lock. Returns how many were sealed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
        if not cursor.fetchone()[0]:
            return 0
    last = Event.objects.aggregate(Max("position"))["position__max"] or 0
    previous = Event.objects.get(position=last).hash if last else GENESIS
    rows = list(Event.objects.filter(position=None).order_by("id")[:limit])
    for position, row in enumerate(rows, start=last + 1):
        row.position = position
        row.hash = previous = link(previous, position, content(row))
    _write_links(rows)
    return len(rows)


def _write_links(rows: Sequence[Event]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_event e SET position = v.position, hash = v.hash"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS v(id, position, hash)"
            " WHERE e.id = v.id",
            [[r.pk for r in rows], [r.position for r in rows], [r.hash for r in rows]],
        )


def verify() -> tuple[int, Break | None]:
    """Walk the whole chain. Returns the last sealed position and the first break, if any."""
    last = Event.objects.aggregate(Max("position"))["position__max"] or 0
    return last, first_break(_sealed())


def _sealed() -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    rows: Iterable[Event] = Event.objects.exclude(position=None).order_by("position")
    for row in rows.iterator(chunk_size=2000):  # type: ignore[attr-defined]  # a QuerySet
        yield row.position or 0, row.hash, content(row)
