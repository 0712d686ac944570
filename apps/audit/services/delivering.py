"""Deliver sealed events to their subscribers: at least once, in order, each apart from the others.

A subscription is a place in the log. One transaction locks it (``FOR UPDATE SKIP LOCKED``: of many
who try, one delivers), reads what comes next, lets the handler write, and moves the place on. A
crash at any moment rolls all of that back together, so nothing is left out, and what a handler
wrote into the database is never written twice. Positions are given by the sealer under a lock, so
that none appears later below one that was read.

An event that its handler refuses is tried again, later and later; the subscriber waits for it,
since it was promised an order. After the last try it is put among the dead letters, from where a
person can have it delivered again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.module_loading import import_string

from apps.audit import registry, selectors
from apps.audit.domain.actors import Actor
from apps.audit.domain.subscriber import MOST_TRIES, Subscriber, pause_s
from apps.audit.models import DeadLetter
from apps.audit.services.recording import Notice, record
from apps.kernel.errors import ConflictError, NotFoundError
from apps.kernel.statements import execute, fetch
from apps.kernel.transactions import command, is_of_a_row, participant

logger = logging.getLogger(__name__)
BATCH = 500
SPAN = 20_000  # positions that one look covers: most events are of no interest to a subscriber
MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one go came to. ``is_behind``: there is more to deliver at once."""

    delivered: int = 0
    is_behind: bool = False
    error: str = ""


def deliver_all() -> int:
    """Deliver to every subscriber what is there for it. Returns how many events that were; one that
    fails is written down and leaves the others to be served."""
    total = 0
    for subscriber in registry.subscribers():
        while (done := deliver(subscriber)).is_behind:
            total += done.delivered
        total += done.delivered
    return total


def deliver(subscriber: Subscriber, *, limit: int = BATCH) -> Delivery:
    """Deliver one batch. Never raises for what the handler does; raises when the database is away.
    Where a batch fails, its events are delivered one by one up to the one that can't be."""
    _begin(subscriber)
    done = _tried(subscriber, limit)
    if not done.error or limit == 1:
        return done
    total = 0
    for _ in range(limit):
        done = _tried(subscriber, 1)
        total += done.delivered
        if done.error or not done.is_behind:
            break
    return Delivery(total, done.is_behind and not done.error, done.error)


def _begin(subscriber: Subscriber) -> None:
    """A new subscription begins at the end of the log."""
    # Of two who begin it at once one does; the other finds its place.
    execute(
        "INSERT INTO audit_subscription (name, position) SELECT %s, coalesce(max(position), 0)"
        " FROM audit_event WHERE NOT EXISTS (SELECT FROM audit_subscription WHERE name = %s)"
        " ON CONFLICT (name) DO NOTHING",
        [subscriber.name, subscriber.name],
    )


def _tried(subscriber: Subscriber, limit: int) -> Delivery:
    reached: list[int] = []
    try:
        return _deliver(subscriber, limit, reached)
    except BaseException as error:
        if not is_of_a_row(error):
            raise
        why = f"{type(error).__name__}: {error}"[:MOST_WORDS].replace("\x00", "�")
        if limit == 1 and len(reached) == 2:
            logger.exception("%s could not be told of event %s", subscriber.name, reached[-1])
            _note_failure(subscriber.name, reached[0], reached[-1], why)
        return Delivery(error=why)


@command
def _deliver(subscriber: Subscriber, limit: int, reached: list[int]) -> Delivery:
    """``reached`` is told the position from which it went on, then that of the first event."""
    reached.clear()
    place = fetch(
        "SELECT position FROM audit_subscription WHERE name = %s"
        " AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())"
        " FOR UPDATE SKIP LOCKED",  # of many who deliver, one has the place and keeps the order
        [subscriber.name],
    )
    if not place:
        return Delivery()
    after = place[0][0]
    reached.append(after)
    ahead = selectors.ahead(after, kinds=subscriber.kinds, limit=limit, span=SPAN)
    if ahead.upto == after:
        return Delivery()
    if ahead.positions:
        reached.append(ahead.positions[0])
        _handle(subscriber, [_notice(row) for row in selectors.at_positions(ahead.positions)])
    _move_on(subscriber.name, ahead.upto, len(ahead.positions))
    return Delivery(len(ahead.positions), ahead.is_behind)


def _handle(subscriber: Subscriber, notices: Sequence[Notice]) -> None:
    import_string(subscriber.handler)(notices)


def _notice(row: Any) -> Notice:
    return Notice(
        row.kind,
        Actor.parse(row.actor),
        row.subject_type,
        row.subject_id,
        row.run_id,
        row.payload,
        id=row.pk,
        position=row.position,
    )


@participant
def _move_on(name: str, upto: int, count: int) -> None:
    execute(
        "UPDATE audit_subscription SET position = %s, tries = 0, next_try_at = NULL,"
        " moved_at = clock_timestamp(), delivered = delivered + %s,"
        " delivered_at = CASE WHEN %s > 0 THEN clock_timestamp() ELSE delivered_at END"
        " WHERE name = %s",
        [upto, count, count, name],
    )


@command
def _note_failure(name: str, after: int, failed: int, why: str) -> None:
    """Count a failure at this place, and go on behind it after the last one. Guarded by the place:
    if somebody else got past it meanwhile, it was no failure."""
    rows = fetch(
        "UPDATE audit_subscription SET tries = tries + 1, error = %s, failed_at = clock_timestamp()"
        " WHERE name = %s AND position = %s RETURNING tries",
        [why, name, after],
    )
    if not rows:
        return
    tries = rows[0][0]
    if tries < MOST_TRIES:
        execute(
            "UPDATE audit_subscription SET next_try_at = clock_timestamp() + %s * interval '1 s'"
            " WHERE name = %s",
            [pause_s(tries), name],
        )
        return
    execute(
        "INSERT INTO audit_deadletter (subscription_id, event_id, tries, error)"
        " SELECT %s, id, %s, %s FROM audit_event WHERE position = %s ON CONFLICT DO NOTHING",
        [name, tries, why, failed],
    )
    _move_on(name, failed, 0)


@command
def deliver_again(letter_id: int, *, actor: Actor) -> None:
    """Deliver a dead letter once more, now and out of order. Raises ``NotFoundError``, or
    ``ConflictError`` if it was delivered meanwhile or fails again: it then stays where it is."""
    # Two people press at once: the row's lock lets one of them wait and see that it is done.
    rows = DeadLetter.objects.select_for_update(of=("self",)).select_related("event")
    if (row := rows.filter(pk=letter_id).first()) is None:
        raise NotFoundError("There is no such dead letter.")
    if row.delivered_at:
        raise ConflictError("It has been delivered meanwhile.")
    known = {s.name: s for s in registry.subscribers()}
    if row.subscription_id not in known:
        raise ConflictError(f"Nobody is subscribed as “{row.subscription_id}” any more.")
    try:
        _handle(known[row.subscription_id], [_notice(row.event)])
    except Exception as error:
        if not is_of_a_row(error):
            raise
        why = f"{type(error).__name__}: {error}"[:MOST_WORDS]
        raise ConflictError(f"It failed again: {why}") from error
    execute(
        "UPDATE audit_deadletter SET delivered_at = clock_timestamp(), delivered_by = %s"
        " WHERE id = %s",
        [actor.text, letter_id],
    )
    record(
        kind="subscription.delivered_again",
        actor=actor,
        subject_type="event",
        subject_id=row.event_id,
        payload={"subscription": row.subscription_id},
    )
