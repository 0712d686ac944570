"""Write down what happened, in the transaction in which it happened, and link it into a chain."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils.module_loading import import_string

from apps.audit import fanout, selectors
from apps.audit.domain import chain
from apps.audit.domain.chain import (
    AS_TEXTS,
    AS_VALUE,
    GENESIS,
    Break,
    Unread,
    first_break,
    link,
)
from apps.audit.domain.streams import streams_of
from apps.audit.models import Event
from apps.audit.selectors import Stored
from apps.kernel.apart import Aside, deal
from apps.kernel.statements import fetch, rows_as_json
from apps.kernel.transactions import after_commit, command, is_away, is_of_a_row, participant

logger = logging.getLogger(__name__)
SEAL_LOCK = 7_346_001  # advisory lock: one sealer at a time, so positions never fork
UNSEALABLE = Aside("event")


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


def seal(*, limit: int = 5000) -> int:
    """Give up to ``limit`` unsealed events their position and hash. Ids can commit out of order,
    positions can't: they are given here, under an advisory lock. An event that PostgreSQL refuses
    to seal is set aside and stays unsealed, one that can't be digested is sealed by its stored
    texts. Returns how many were sealed."""
    ids = selectors.unsealed(limit=limit, besides=UNSEALABLE.left_alone())
    return sum(deal(ids, lambda some: [_seal(some)], UNSEALABLE))


@command
def _seal(ids: Sequence[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
        if not cursor.fetchone()[0]:
            return 0
    last = Event.objects.aggregate(Max("position"))["position__max"] or 0
    previous = Event.objects.values_list("hash", flat=True).get(position=last) if last else GENESIS
    links = []
    for position, row in enumerate(selectors.to_seal(ids), start=last + 1):
        previous, how = _link(previous, position, row)
        links.append((row.pk, position, previous, how))
    _write_links(links)
    return len(links)


def _link(previous: str, position: int, row: Stored) -> tuple[str, str]:
    try:
        return link(previous, position, selectors.content(row)), AS_VALUE
    except BaseException as error:
        if not is_of_a_row(error):
            raise
        logger.warning(
            "event %s can't be digested and is sealed by its texts", row.pk, exc_info=error
        )
    return link(previous, position, row.texts()), AS_TEXTS


def _write_links(links: Sequence[tuple[int, int, str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_event e SET position = v.position, hash = v.hash, sealed_as = v.sealed_as"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])"
            " AS v(id, position, hash, sealed_as) WHERE e.id = v.id",
            [[values[n] for values in links] for n in range(4)],
        )


def verify() -> tuple[int, Break | None]:
    """Walk the whole chain. Returns the last sealed position and the first break, if any."""
    last = Event.objects.aggregate(Max("position"))["position__max"] or 0
    return last, first_break(_as_sealed())


def _as_sealed() -> Iterator[tuple[int, str, chain.Event]]:
    for row in selectors.sealed():
        yield row.position or 0, row.hash, _content(row)


def _content(row: Stored) -> chain.Event:
    if row.sealed_as == AS_TEXTS:
        return row.texts()
    if row.sealed_as != AS_VALUE:
        return Unread(f"sealed as “{row.sealed_as}”, which this release doesn't know")
    try:
        return selectors.content(row)
    except Exception as error:
        if is_away(error):
            raise
        return Unread(type(error).__name__)
