"""Reads of the log: what happened to a thing, and how far each live stream has come."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from apps.audit import registry
from apps.audit.domain.actors import Actor, ActorKind
from apps.audit.domain.caller import VIA
from apps.audit.domain.chain import AS_TEXTS, Texts
from apps.audit.domain.streams import RUN
from apps.audit.models import DeadLetter, Event
from apps.kernel import exactjson
from apps.kernel.statements import fetch

PAGE = 50
HEAD_WINDOW = 10_000  # a head older than this many events is reported as 0: nobody waits for it
EXPORT_LIMIT = 50_000
EXPORT_CHUNK = 2_000
SHORT = "older events match too: ask for those before the last of these {:,}"
FEED_WINDOW = 5_000
MOST_DIGESTED = 252  # levels of a payload: with what a hash covers beside it, orjson writes 254


def events_of(subject_type: str, subject_id: object, *, limit: int = 100) -> list[Event]:
    """The latest events about one thing, newest first."""
    rows = Event.objects.filter(subject_type=subject_type, subject_id=str(subject_id))
    return list(rows.order_by("-id")[:limit])


def events_about(
    subject_type: str, subject_ids: Collection[object], *, kinds: Collection[str], since: datetime
) -> list[Event]:
    """Events of these kinds about these things since a moment, oldest first."""
    ids = [str(one) for one in subject_ids]
    rows = Event.objects.filter(subject_type=subject_type, subject_id__in=ids, kind__in=kinds)
    return list(rows.filter(at__gte=since).order_by("id"))


def is_told(
    subject_type: str,
    subject_id: object,
    kind: str,
    *,
    within_s: float,
    payload: Mapping[str, str],
) -> bool:
    """Whether an event of this kind about this thing, and with this in its payload, was recorded in
    the last ``within_s`` seconds."""
    rows = Event.objects.filter(subject_type=subject_type, subject_id=str(subject_id), kind=kind)
    said = {f"payload__{name}": value for name, value in payload.items()}
    return rows.filter(at__gt=Now() - timedelta(seconds=within_s), **said).exists()


def people_of_run(run_id: UUID, kinds: Collection[str]) -> dict[str, str]:
    """User names of people by whom events of these kinds came about in a run, each with the kind of
    the first."""
    rows = Event.objects.filter(run_id=run_id, kind__in=kinds).order_by("id")
    found: dict[str, str] = {}
    for text, kind in rows.values_list("actor", "kind"):
        actor = Actor.parse(text)
        if actor.kind == ActorKind.USER:
            found.setdefault(actor.name, kind)
    return found


def heads(streams: Collection[str]) -> dict[str, int]:
    """The id of the latest event on each of ``streams`` (0 if there is none lately)."""
    found = dict.fromkeys(streams, 0)
    runs = [UUID(s.removeprefix(RUN)) for s in streams if s.startswith(RUN)]
    if runs:
        rows = Event.objects.filter(run_id__in=runs).values("run_id").annotate(head=Max("id"))
        found |= {f"{RUN}{row['run_id']}": row["head"] for row in rows}
    if len(runs) < len(streams):
        for stream, head in _named_heads().items():
            if stream in found:
                found[stream] = head
    return found


def _named_heads() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(kind, '.', 1), max(id) FROM"
            " (SELECT kind, id FROM audit_event ORDER BY id DESC LIMIT %s) recent GROUP BY 1",
            [HEAD_WINDOW],
        )
        rows = cursor.fetchall()
    found: dict[str, int] = {}
    for prefix, head in rows:
        for stream in registry.streams_of(prefix, None):
            found[stream] = max(found.get(stream, 0), head)
    return found


def events_after(stream: str, seq: int, *, limit: int = 200) -> list[Event]:
    """Events on ``stream`` after ``seq``, oldest first: what a page missed while it was away.
    Of a long absence only the end is told; the page reads itself anew anyway."""
    if stream.startswith(RUN):
        rows = Event.objects.filter(run_id=UUID(stream.removeprefix(RUN)), id__gt=seq)
        return list(rows.order_by("-id")[:limit])[::-1]
    recent = Event.objects.filter(id__gt=seq).order_by("-id")[: 10 * limit]
    heard = [row for row in recent if stream in registry.streams_of(row.kind, None)]
    return heard[:limit][::-1]


@dataclass(frozen=True, slots=True)
class Feed:
    """A stretch of the sealed log. ``next_after`` is where to go on, ``head`` the last sealed
    place."""

    rows: list[Event]
    next_after: int
    head: int


def feed(after: int, *, kinds: tuple[str, ...], run_id: UUID | None, limit: int) -> Feed:
    """Up to ``limit`` events of ``kinds`` (prefixes) after place ``after``, oldest first, of one
    run with ``run_id``. By position, not by id: ids can commit out of order, so that one that is
    read today may stand behind one that was not there yet; positions are given to committed events
    only. Of the whole log at most ``FEED_WINDOW`` places are looked through at once."""
    head = Event.objects.aggregate(Max("position"))["position__max"] or 0
    if after >= head:
        return Feed([], after, head)
    wanted = reduce(or_, (Q(kind__startswith=k) for k in kinds))
    upto = head if run_id else min(after + FEED_WINDOW, head)
    rows = Event.objects.filter(wanted, position__gt=after, position__lte=upto)
    if run_id:
        rows = rows.filter(run_id=run_id)
    found = list(rows.order_by("position")[:limit])
    last = found[-1].position if len(found) == limit else upto
    return Feed(found, last or upto, head)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What of the log is asked for; every field is optional. ``actor`` is any text that means one
    (see ``Actor.parse``): its events are found under every form that any release stored."""

    kind: str = ""
    actor: str = ""
    subject_type: str = ""
    subject_id: str = ""
    run_id: UUID | None = None
    request: str = ""  # everything that happened on one request
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> QuerySet[Event]:
        """Matching events, newest first."""
        exact: dict[str, Any] = {
            "actor__in": Actor.parse(self.actor).stored_forms() if self.actor else (),
            "subject_type": self.subject_type,
            "subject_id": self.subject_id,
            "run_id": self.run_id,
            "payload__has_key": VIA if self.request else "",  # the index is of those
            "request": self.request,
            "kind__startswith": self.kind,
            "at__gte": self.since,
            "at__lt": self.until,
        }
        rows = Event.objects.alias(request=KT(f"payload__{VIA}__request")).order_by("-id")
        return rows.filter(**{k: v for k, v in exact.items() if v})


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page of the log; ``older`` is where the next one begins, if there is one."""

    rows: list[Event]
    older: int | None


def page(wanted: LogFilter, *, before: int | None = None) -> LogPage:
    """A page by key: events before an id, so that new ones never shift what is read."""
    rows = wanted.rows()
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: PAGE + 1])
    more, found = len(found) > PAGE, found[:PAGE]
    return LogPage(found, found[-1].pk if more else None)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """How far the chain is sealed."""

    position: int
    hash: str
    sealed_at: datetime | None
    unsealed: int


def chain_head() -> ChainHead:
    """The last sealed event, and how many wait for the sealer."""
    last = Event.objects.exclude(position=None).order_by("-position").first()
    waiting = Event.objects.filter(position=None).count()
    if last is None:
        return ChainHead(0, "", None, waiting)
    return ChainHead(last.position or 0, last.hash, last.at, waiting)


def sealed_by_texts() -> int:
    """How many events were sealed by their texts, since no value could be made of them. Looks at
    the whole log."""
    return Event.objects.filter(sealed_as=AS_TEXTS).count()


# One look into the index for each kind of thing, however many events there are.
_ABOUT = """
    WITH RECURSIVE seen AS (
        (SELECT subject_type AS word FROM audit_event ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT (SELECT subject_type FROM audit_event WHERE subject_type > seen.word
            ORDER BY 1 LIMIT 1)
        FROM seen WHERE seen.word IS NOT NULL
    )
    SELECT word FROM seen WHERE word <> '' LIMIT 200
"""


def about() -> list[str]:
    """What kinds of things the log tells of."""
    return [row[0] for row in fetch(_ABOUT, [])]


def export(wanted: LogFilter) -> Iterator[dict[str, Any]]:
    """The newest ``EXPORT_LIMIT`` matching events as plain values, newest first, and an end that
    says how many they are and, if there are more, that it ends short. Read in chunks by key, so
    that no cursor stays open while a slow browser reads."""
    before: int | None = None
    count = 0
    while count < EXPORT_LIMIT:
        rows = wanted.rows()
        most = min(EXPORT_CHUNK, EXPORT_LIMIT - count)
        found = list((rows if before is None else rows.filter(id__lt=before))[:most])
        yield from map(_plain, found)
        count += len(found)
        if len(found) < most:
            break
        before = found[-1].pk
    more = count == EXPORT_LIMIT and wanted.rows().filter(id__lt=before).exists()
    yield {"end": {"events": count, "short": SHORT.format(count) if more else ""}}


def _plain(row: Event) -> dict[str, Any]:
    who = Actor.parse(row.actor).text  # beside the stored form, which the hash covers
    plain = content(row) | {"who": who, "position": row.position, "hash": row.hash}
    return plain | ({"sealed_as": row.sealed_as} if row.sealed_as else {})


def content(row: Event | Stored) -> dict[str, Any]:
    """What an event's hash covers, as a value."""
    return {
        "id": row.pk,
        "at": row.at.isoformat(),
        "kind": row.kind,
        "actor": row.actor,
        "subject_type": row.subject_type,
        "subject_id": row.subject_id,
        "run_id": str(row.run_id) if row.run_id else None,
        "payload": row.payload,
    }


# --- for the sealer -------------------------------------------------------------------------------

# A time that Python's calendar doesn't have is no reason to fail: it is told in seconds too.
_STORED = """
    SELECT id, CASE WHEN at > '0001-01-02 00:00+00' AND at < '9999-12-30 00:00+00' THEN at END,
        extract(epoch FROM at)::text, kind, actor, subject_type, subject_id, run_id, payload::text,
        position, hash, sealed_as
    FROM audit_event
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as the database holds it: its payload is text that nobody has read yet."""

    pk: int
    time: datetime | None
    epoch_s: str
    kind: str
    actor: str
    subject_type: str
    subject_id: str
    run_id: UUID | None
    text: str
    position: int | None
    hash: str
    sealed_as: str

    @property
    def at(self) -> datetime:
        if self.time is None:
            raise ValueError("its time is beyond the calendar")
        return self.time.astimezone(UTC)

    @property
    def payload(self) -> Any:
        """As it was written, in no other words: a digest vouches for it, subscribers act upon it.
        Raises ``NotCarriedError`` for what is nested more deeply than a digest can cover."""
        return exactjson.read_whole(self.text, deepest=MOST_DIGESTED)

    def texts(self) -> Texts:
        """Every column that tells what happened, unread."""
        run_id = str(self.run_id) if self.run_id else None
        names = ("kind", "actor", "subject_type", "subject_id")
        columns = {name: getattr(self, name) for name in names} | {"run_id": run_id}
        columns |= {"id": str(self.pk), "at": self.epoch_s, "payload": self.text}
        return Texts(columns)


def unsealed(*, limit: int, besides: Collection[int]) -> list[int]:
    """The ids of the oldest events that wait for the sealer, some left out."""
    rows = fetch(
        "SELECT id FROM audit_event WHERE position IS NULL AND id <> ALL(%s) ORDER BY id LIMIT %s",
        [list(besides), limit],
    )
    return [row[0] for row in rows]


def to_seal(ids: Collection[int]) -> list[Stored]:
    """Those of these events that still wait for the sealer, oldest first."""
    rows = fetch(f"{_STORED} WHERE id = ANY(%s) AND position IS NULL ORDER BY id", [list(ids)])
    return [Stored(*row) for row in rows]


def sealed() -> Iterator[Stored]:
    """The whole chain in its order, read in parts."""
    last = 0
    while found := sealed_after(last, limit=EXPORT_CHUNK):
        yield from found
        last = found[-1].position or 0


def sealed_after(position: int, *, limit: int) -> list[Stored]:
    """The next events of the chain, in its order."""
    sql = f"{_STORED} WHERE position > %s ORDER BY position LIMIT %s"
    return [Stored(*row) for row in fetch(sql, [position, limit])]


def end_of_chain() -> tuple[int, str]:
    """The position and the hash of the last sealed event; 0 and nothing before there is one."""
    rows = fetch(
        "SELECT position, hash FROM audit_event WHERE position IS NOT NULL"
        " ORDER BY position DESC LIMIT 1",
        [],
    )
    return rows[0] if rows else (0, "")


def first_at(otherwise: datetime) -> datetime:
    """When the first sealed event happened, if there is one that the calendar knows."""
    found = sealed_after(0, limit=1)
    return (found[0].time if found else None) or otherwise


def hash_at(position: int) -> str:
    """The hash of the event at a place; empty if none is there."""
    rows = fetch("SELECT hash FROM audit_event WHERE position = %s", [position])
    return rows[0][0] if rows else ""


# --- for subscribers ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next events for a subscriber, by position. ``upto``: everything up to there has been
    looked at; ``is_behind``: more is there."""

    positions: list[int]
    upto: int
    is_behind: bool


def ahead(after: int, *, kinds: Sequence[str], limit: int, span: int) -> Ahead:
    """What comes after a place, of kinds that begin with one of these (of all, if none is named):
    ``limit`` events at most, of ``span`` positions at most."""
    [[head]] = fetch("SELECT coalesce(max(position), 0) FROM audit_event", [])
    upto = min(after + span, head)
    if upto <= after:
        return Ahead([], after, False)
    rows = fetch(
        "SELECT position FROM audit_event WHERE position > %s AND position <= %s"
        " AND (%s OR kind ^@ ANY(%s::text[])) ORDER BY position LIMIT %s",
        [after, upto, not kinds, list(kinds), limit],
    )
    found = [row[0] for row in rows]
    if len(found) == limit:
        upto = found[-1]
    return Ahead(found, upto, upto < head)


def at_positions(positions: Sequence[int]) -> list[Stored]:
    """The events at these places of the log, in its order."""
    rows = fetch(f"{_STORED} WHERE position = ANY(%s) ORDER BY position", [list(positions)])
    return [Stored(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class SubscriptionHealth:
    """How a subscriber stands. ``behind``: positions between its place and the end of the log;
    ``lag_s``: for how long the oldest event that it has not heard of has been there, 0 if it has
    heard of all. ``words`` say what does not happen while it fails; empty for one that no app
    names any more."""

    name: str
    words: str
    position: int
    behind: int
    lag_s: float
    delivered: int
    delivered_at: datetime | None
    tries: int
    next_try_at: datetime | None
    failed_at: datetime | None
    error: str
    dead: int

    @property
    def title(self) -> str:
        return self.name.replace(".", ": ").replace("_", " ").capitalize()

    @property
    def standing(self) -> str:
        """One word: fails, abandoned (no app names it), or well."""
        if not self.words:
            return "abandoned"
        return "fails" if self.tries else "well"


def subscriptions() -> list[SubscriptionHealth]:
    """Every subscriber that was ever served, by name."""
    known = {s.name: s for s in registry.subscribers()}
    rows = fetch(_SUBSCRIPTIONS, [])
    found = []
    for name, position, head, *more in rows:
        one = known.get(name)
        lag_s = _lag_s(position, one.kinds) if one and position < head else 0.0
        words = one.words if one else ""
        found.append(SubscriptionHealth(name, words, position, head - position, lag_s, *more))
    return found


_SUBSCRIPTIONS = """
    SELECT s.name, s.position, head.position, s.delivered, s.delivered_at, s.tries, s.next_try_at,
        s.failed_at, s.error, (SELECT count(*) FROM audit_deadletter d
            WHERE d.subscription_id = s.name AND d.delivered_at IS NULL)
    FROM audit_subscription s,
        (SELECT coalesce(max(position), 0) AS position FROM audit_event) AS head
    ORDER BY s.name
"""


def _lag_s(after: int, kinds: Sequence[str]) -> float:
    rows = fetch(
        "SELECT greatest(extract(epoch FROM clock_timestamp() - at), 0)::float8 FROM audit_event"
        " WHERE position > %s AND (%s OR kind ^@ ANY(%s::text[])) ORDER BY position LIMIT 1",
        [after, not kinds, list(kinds)],
    )
    return rows[0][0] if rows else 0.0


def dead_letters(*, before: int | None = None) -> tuple[list[DeadLetter], int | None]:
    """A page of the dead letters that nobody has delivered, newest first, and where the next one
    begins, if there is one."""
    rows = DeadLetter.objects.filter(delivered_at=None).select_related("event").order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: PAGE + 1])
    more, found = len(found) > PAGE, found[:PAGE]
    return found, found[-1].pk if more else None
