"""Who is at work: leases renewed, signs of life, workers drained before a deploy."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.kernel.errors import ConflictError
from apps.kernel.transactions import after_commit, command
from apps.runs import dispatch, journal
from apps.runs.journal import parking
from apps.runs.models import Worker

DRAINS_KEPT = timedelta(minutes=10)
WORKERS_KEPT = timedelta(days=1)
HURRY_S = 3.0


def process_name(pid: int) -> str:
    """What the names of a process's leases begin with."""
    return f"{socket.gethostname()}:{pid}:"


def worker_name() -> str:
    """Who holds a lease: host, process and when it was born, so that no two ever agree."""
    return f"{process_name(os.getpid())}{int(time.time()) % 100_000}"


@dataclass(slots=True)
class ShutdownNotice:
    """What this process was told: once, to finish what it holds within ``FINISH_SECONDS`` and end;
    twice, to hurry. Told by a signal, read by the loop that drains."""

    is_given: bool = False
    until: float = math.inf

    def tell(self) -> None:
        """Note another request to end."""
        patience = HURRY_S if self.is_given else settings.FINISH_SECONDS
        self.until = min(self.until, time.monotonic() + patience)
        self.is_given = True

    @property
    def is_over(self) -> bool:
        """Whether the patience is at an end: what isn't finished now is given back."""
        return time.monotonic() >= self.until


notice = ShutdownNotice()


@command
def renew_leases(tokens: Sequence[int], *, lease_s: float) -> int:
    """Keep the leases of calls in flight."""
    return journal.renew(tokens, lease_s=lease_s) if tokens else 0


def beat_nothing() -> None:
    """Write the row of a process as it is, which is what its sign of life does to the database.
    One that is being written is passed over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_worker SET seen_at = seen_at WHERE name ="
            " (SELECT name FROM runs_worker LIMIT 1 FOR UPDATE SKIP LOCKED)"
        )


@command
def give_back(owner: str) -> int:
    """Let others take at once what ``owner`` holds and has caused nothing with; a mutation that was
    intended keeps its lease. Returns how many steps were given back."""
    back = parking.release(owner)
    actor = Actor.worker(owner)
    record_many([Fact("step.released", actor, "step", str(step), run) for step, run, _ in back])
    for lane in {lane for _, _, lane in back}:
        after_commit(lambda lane=lane: dispatch.ring(lane))
    return len(back)


def beat(name: str, kind: str, lane: str, in_flight: int, steps_done: int) -> bool:
    """Say that a process is alive; the database's clock notes when. ``in_flight`` are a drain's
    calls; of a worker it says whether it has a work-horse. Returns whether the worker is to take
    nothing new. One statement: a beat must cost little."""
    # RQ tells a work-horse the name of its worker.
    parent = os.environ.get("RQ_WORKER_ID", "") if kind == "drainer" else ""
    with connection.cursor() as cursor:
        # A beat that finds its row leaves ``draining_at`` alone: an order to drain is never undone.
        cursor.execute(
            """
            INSERT INTO runs_worker (name, kind, lane, pid, host, started_at, seen_at, in_flight,
                steps_done, parent, release, engine_version)
            VALUES (%s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp(), %s, %s, %s, %s, %s)
            ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp(),
                in_flight = excluded.in_flight, steps_done = excluded.steps_done
            RETURNING draining_at IS NOT NULL
            """,
            [
                name,
                kind,
                lane,
                os.getpid(),
                socket.gethostname(),
                in_flight,
                steps_done,
                parent,
                settings.RELEASE,
                settings.ENGINE_VERSION,
            ],
        )
        return bool(cursor.fetchone()[0])


def end_drains_of(parent: str) -> None:
    """Note that a worker has seen its work-horse end."""
    Worker.objects.filter(kind="drainer", parent=parent, stopping_at=None).update(
        stopping_at=Now(), in_flight=0
    )


def note_stopping(name: str) -> None:
    """Note that a worker was told to end and finishes what it holds."""
    Worker.objects.filter(name=name, stopping_at=None).update(stopping_at=Now())


def leave(name: str) -> None:
    """A worker that ended as it should isn't missed."""
    Worker.objects.filter(Q(name=name) | Q(parent=name)).delete()


@command
def drain_workers(actor: Actor, *, names: Sequence[str] = (), before_engine: int = 0) -> list[str]:
    """Have workers finish what they hold and take nothing new: those named, or those of an engine
    before ``before_engine``, or all. Each sees it within a few seconds and stays up, idle, until it
    is restarted or let work again. Returns their names; a named one that is gone or draining
    already is a conflict."""
    chosen = Worker.objects.filter(kind="worker", draining_at=None, stopping_at=None)
    if names:
        chosen = chosen.filter(name__in=names)
    if before_engine:
        chosen = chosen.filter(engine_version__lt=before_engine)
    found = sorted(chosen.values_list("name", flat=True))
    if names and len(found) < len(set(names)):
        raise ConflictError("That worker is gone, ending or draining already: reload to see.")
    chosen.filter(name__in=found).update(draining_at=Now(), draining_by=actor.text)
    record_many([Fact("worker.draining", actor, "worker", name) for name in found])
    return found


@command
def let_work(actor: Actor, *, names: Sequence[str] = ()) -> list[str]:
    """Let drained workers take work again: those named, or all."""
    chosen = Worker.objects.filter(kind="worker", draining_at__isnull=False)
    if names:
        chosen = chosen.filter(name__in=names)
    found = sorted(chosen.values_list("name", flat=True))
    if names and len(found) < len(set(names)):
        raise ConflictError("That worker is gone or was resumed already: reload to see.")
    chosen.filter(name__in=found).update(draining_at=None, draining_by="")
    record_many([Fact("worker.let_work", actor, "worker", name) for name in found])
    return found


def forget_drains() -> int:
    """Drop the rows of drains that ended a while ago (each drain has a name of its own) and of
    workers that have been silent for a day. Returns how many were dropped."""
    old = Q(kind="drainer", seen_at__lt=Now() - DRAINS_KEPT) | Q(seen_at__lt=Now() - WORKERS_KEPT)
    return Worker.objects.filter(old).delete()[0]
