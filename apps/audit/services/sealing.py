"""Link what was written down into a chain: each event gets its position and its hash."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import connection
from django.db.models import Max

from apps.audit import selectors
from apps.audit.domain import chain
from apps.audit.domain.chain import (
    AS_TEXTS,
    AS_VALUE,
    GENESIS,
    Break,
    UnreadEvent,
    first_break,
    link,
)
from apps.audit.models import Event
from apps.audit.selectors import Stored
from apps.kernel.apart import Aside, deal
from apps.kernel.transactions import command, is_away, is_of_a_row

logger = logging.getLogger(__name__)
SEAL_LOCK = 7_346_001  # advisory lock: one sealer at a time, so positions never fork
UNSEALABLE = Aside("event")


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
        # Of two sealers the second does nothing: both would give the same positions.
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
    """Walk the whole chain, here and now. Returns the last sealed position and the first break, if
    any. For what also compares it with checkpoints, and goes on in the background, see
    ``verifying``."""
    last = Event.objects.aggregate(Max("position"))["position__max"] or 0
    return last, first_break(map(as_sealed, selectors.sealed()))


def as_sealed(row: Stored) -> tuple[int, str, chain.Event]:
    """An event as a walk of the chain takes it: position, hash, content as it was sealed."""
    return row.position or 0, row.hash, _content(row)


def _content(row: Stored) -> chain.Event:
    if row.sealed_as == AS_TEXTS:
        return row.texts()
    if row.sealed_as != AS_VALUE:
        return UnreadEvent(f"sealed as “{row.sealed_as}”, which this release doesn't know")
    try:
        return selectors.content(row)
    except Exception as error:
        if is_away(error):
            raise
        return UnreadEvent(type(error).__name__)
