"""How the machinery does: workers, queue, breakers, database and Redis, as of now."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.db import connection
from django.db.models import (
    Count,
    F,
    Min,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.functions import Now

from apps.audit.selectors import duties
from apps.audit.selectors.duties import DutyHealth, Holder
from apps.kernel.transactions import is_away
from apps.runs.domain.states import State
from apps.runs.models import Breaker, LaneMark, Run, Step, Worker

logger = logging.getLogger(__name__)
T = TypeVar("T")
SEEN_WITHIN = timedelta(seconds=30)
FORGET_AFTER = timedelta(hours=1)
PROBE_SECONDS = 1.0


def patience_s(kind: str) -> float:
    """How long a process of this kind may be silent: a few of its beats, and not so long that
    people hear of its end after half a minute."""
    beats = {"drainer": settings.LEASE_SECONDS / 3, "sweeper": settings.SWEEP_SECONDS}
    if kind in ("worker", *beats):
        return max(settings.NOTICE_SECONDS, 2.5 * beats.get(kind, 0))
    return SEEN_WITHIN.total_seconds()


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """One long-lived process as last heard of."""

    name: str
    kind: str
    lane: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    silent_s: float
    in_flight: int
    steps_done: int
    oldest_lease_s: float | None
    parent: str = ""
    release: str = ""
    engine_version: int = 1
    draining_at: datetime | None = None
    draining_by: str = ""
    stopping_at: datetime | None = None
    drains: tuple[WorkerHealth, ...] = ()  # of a worker: its work-horses, the latest first

    @property
    def is_alive(self) -> bool:
        return self.silent_s <= patience_s(self.kind)

    @property
    def has_ended(self) -> bool:
        """A drain that ended as it should: its worker saw it, or it held nothing when last heard
        of."""
        seen = self.stopping_at is not None or (not self.is_alive and not self.in_flight)
        return self.kind == "drainer" and seen

    @property
    def standing(self) -> str:
        """One word for where it stands: silent, ended, stopping, drained, draining, idle,
        working."""
        if self.has_ended:
            return "ended"
        if not self.is_alive:
            return "silent"
        if self.stopping_at:
            return "stopping"
        busy = self.kind == "drainer" or self.in_flight > 0
        if self.draining_at:
            return "draining" if busy else "drained"
        return "working" if busy else "idle"

    @property
    def held(self) -> int:
        """Calls that it holds; of a worker, those of its work-horse."""
        if self.kind != "worker":
            return self.in_flight
        return sum(d.in_flight for d in self.drains if not d.has_ended)

    @property
    def done(self) -> int:
        """Steps that it recorded, or its work-horses that are still known."""
        return self.steps_done + sum(d.steps_done for d in self.drains)

    @property
    def oldest_s(self) -> float | None:
        """How long its oldest call has been under way."""
        ages = [self.oldest_lease_s, *(d.oldest_lease_s for d in self.drains)]
        return max((a for a in ages if a is not None), default=None)


_TOLD = tuple(
    f.name for f in fields(WorkerHealth) if f.name not in {"silent_s", "oldest_lease_s", "drains"}
)


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """What is queued and running in one lane. ``still_s``: for how long the same step has been due
    first there without its workers having done anything else."""

    lane: str
    due: int
    later: int
    running: int
    oldest_due_s: float | None
    still_s: float = 0.0

    @property
    def is_still(self) -> bool:
        """Whether it does not move although something is due."""
        notice = settings.NOTICE_SECONDS
        return self.due > 0 and self.still_s >= notice and (self.oldest_due_s or 0) >= notice


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: a word for programs, a sentence and what to do about it for people.
    ``detail`` may hold what came from outside, and is for those who have logged in. A trouble that
    ``is_grave`` keeps this installation from doing its work."""

    kind: str
    sentence: str
    mend: str
    detail: str = ""
    is_grave: bool = True

    def __str__(self) -> str:
        said = f"{self.sentence} ({self.detail})" if self.detail else self.sentence
        return f"{said}. {self.mend}"


@dataclass(frozen=True, slots=True)
class BreakerHealth:
    """The circuit breaker of one tool on one host."""

    tool_name: str
    host: str
    state: str
    calls: int
    failures: int
    opened_at: datetime | None
    open_until: datetime | None
    reason: str
    manual: bool

    @property
    def words(self) -> str:
        """A breaker that isn't closed, as a sentence for people."""
        state = self.state.replace("_", " ")
        return f"Breaker of {self.tool_name} is {'held open by a person' if self.manual else state}"


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole machinery on one page. ``unread`` are parts of it that could not be read, with the
    reason: the rest is told all the same."""

    at: datetime
    workers: list[WorkerHealth]
    lanes: list[LaneHealth]
    breakers: list[BreakerHealth]
    waiting_approval: int
    unknown: int
    expired_leases: int
    database_ms: float | None
    redis_ms: float | None
    redis_error: str
    sweeper_age_s: float | None
    duties: list[DutyHealth]
    holder: Holder | None
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def drainers_alive(self) -> int:
        """Workers that are there; a drain that runs without a worker counts as one."""
        return sum(w.is_alive and w.kind in {"worker", "drainer"} for w in self.workers)

    @property
    def takers(self) -> list[WorkerHealth]:
        """Workers that are there and take new work."""
        busy = {"idle", "working"}
        return [w for w in self.workers if w.kind in {"worker", "drainer"} and w.standing in busy]

    @property
    def queue_depth(self) -> int:
        return sum(lane.due + lane.later for lane in self.lanes)

    @property
    def oldest_due_s(self) -> float | None:
        return max((x.oldest_due_s for x in self.lanes if x.oldest_due_s is not None), default=None)

    @property
    def open_breakers(self) -> list[BreakerHealth]:
        return [b for b in self.breakers if b.state != "closed"]


def overview() -> Overview:
    """Everything the system page, the home page and the readiness probe tell, in ten small queries
    and one ping of Redis. A part that can't be read is told and left out; raises only when the
    database is away."""
    started = time.perf_counter()
    at = _now()
    database_ms = (time.perf_counter() - started) * 1000
    redis_ms, redis_error = ping_redis()
    unread: dict[str, str] = {}

    def part(name: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except Exception as error:
            if is_away(error):
                raise
            logger.exception("the part “%s” of the overview can't be read", name)
            unread[name] = type(error).__name__
            return otherwise

    workers = part("workers", _workers, [])
    counts = part("counts", _counts, (0, 0, 0))
    return Overview(
        at=at,
        workers=workers,
        lanes=part("lanes", _lanes, []),
        breakers=part("breakers", _breakers, []),
        waiting_approval=counts[0],
        unknown=counts[1],
        expired_leases=counts[2],
        database_ms=database_ms,
        redis_ms=redis_ms,
        redis_error=redis_error,
        sweeper_age_s=min((w.silent_s for w in workers if w.kind == "sweeper"), default=None),
        duties=part("duties", duties.standings, []),
        holder=part("holder of the duties", duties.holder, None),
        unread=unread,
    )


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def _workers() -> list[WorkerHealth]:
    """Those heard of in the last hour, each drain under its worker; those that need a look first,
    then the latest. A drain of a worker that is gone stands by itself."""
    held = Step.objects.filter(state=State.RUNNING, lease_owner=OuterRef("name")).order_by()
    begun = held.values("lease_owner").annotate(first=Min("started_at")).values("first")
    found = Worker.objects.filter(seen_at__gt=Now() - FORGET_AFTER).annotate(
        silent=Now() - F("seen_at"), oldest=Now() - Subquery(begun)
    )
    shown = found.order_by("-kind", "lane", "-started_at", "name")
    rows = [WorkerHealth(**_row(worker)) for worker in shown.values(*_TOLD, "silent", "oldest")]
    names = {w.name for w in rows}
    under: dict[str, list[WorkerHealth]] = defaultdict(list)
    for row in rows:
        if row.parent in names:
            under[row.parent].append(row)
    tops = [replace(w, drains=tuple(under[w.name])) for w in rows if w.parent not in names]
    shown = [w for w in tops if w.standing != "ended" and not _is_replaced(w, tops)]
    return sorted(shown, key=lambda w: w.standing != "silent")


def _row(worker: dict[str, Any]) -> dict[str, Any]:
    silent, oldest = worker.pop("silent"), worker.pop("oldest")
    oldest_s = None if oldest is None else oldest.total_seconds()
    return {**worker, "silent_s": max(silent.total_seconds(), 0.0), "oldest_lease_s": oldest_s}


def _is_replaced(one: WorkerHealth, others: Iterable[WorkerHealth]) -> bool:
    """Whether a part that carries out no steps, such as a sweeper, fell silent and has a
    successor: it was started anew, which is no reason for alarm."""
    return (
        one.standing == "silent"
        and one.kind not in ("worker", "drainer")
        and any(o.kind == one.kind and o.is_alive and o.started_at > one.seen_at for o in others)
    )


def held_by_draining() -> int:
    """Workers that drain and still have a work-horse that holds something."""
    draining = Worker.objects.filter(
        kind="worker", draining_at__isnull=False, seen_at__gt=Now() - SEEN_WITHIN
    )
    return draining.filter(Q(seen_at__lt=F("draining_at")) | Q(in_flight__gt=0)).count()


def _lanes() -> list[LaneHealth]:
    # One query a state, because each state has a partial index of its own.
    is_due, steps = Q(not_before__lte=Now()), Step.objects.order_by()
    queued = steps.filter(state=State.QUEUED).values("lane")
    waiting = queued.annotate(
        due=Count(Value(1), filter=is_due),
        queued=Count("*"),
        oldest=Now() - Min("not_before", filter=is_due),
    )
    running = dict(
        steps.filter(state=State.RUNNING).values_list("lane").annotate(running=Count("*"))
    )
    marks = LaneMark.objects.filter(head__isnull=False)
    still = dict(marks.values_list("lane", Now() - F("moved_at")))
    found = {lane: LaneHealth(lane, 0, 0, n, None) for lane, n in running.items()}
    for row in waiting:
        lane, due, oldest = row["lane"], row["due"], row["oldest"]
        oldest_s = None if oldest is None else oldest.total_seconds()
        later = row["queued"] - due
        found[lane] = LaneHealth(lane, due, later, running.get(lane, 0), oldest_s)
    empty = {lane: LaneHealth(lane, 0, 0, 0, None) for lane in settings.LANES}
    return [
        replace(x, still_s=still[x.lane].total_seconds()) if x.lane in still else x
        for x in (empty | found).values()
    ]


def _counts() -> tuple[int, int, int]:
    """Steps that wait for a person, runs of which nobody knows how they ended, expired leases."""
    return (
        Step.objects.filter(state=State.WAITING_APPROVAL).count(),
        Run.objects.filter(state=State.CONFIRMATION_UNKNOWN).count(),
        Step.objects.filter(state=State.RUNNING, lease_until__lt=Now()).count(),
    )


def _breakers() -> list[BreakerHealth]:
    names = BreakerHealth.__slots__
    rows = Breaker.objects.order_by("tool_name", "host").values_list(*names)
    found = [BreakerHealth(*row) for row in rows]
    return sorted(found, key=lambda b: (b.state == "closed", b.tool_name))


def ping_redis() -> tuple[float | None, str]:
    """Milliseconds of one ping, or why there was no answer."""
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PROBE_SECONDS, socket_timeout=PROBE_SECONDS
    )
    try:
        with client:
            started = time.perf_counter()
            client.ping()
            return (time.perf_counter() - started) * 1000, ""
    except (redis.RedisError, OSError) as error:
        return None, type(error).__name__
