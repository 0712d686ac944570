"""``manage.py worker --lane normal``: an RQ worker that listens to one lane.

SIGTERM: nothing new is taken, what is held is finished within ``FINISH_SECONDS``, and what isn't is
given back, except for mutations that were intended: their lease has to run out first. A second
SIGTERM leaves three seconds, a third one none. A worker that is told to drain (``manage.py drain``
or the system page) finishes likewise, but stays up and takes nothing until it is let.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import signal
import sys
import time
from importlib import import_module
from types import FrameType
from typing import Any

import django_rq
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Worker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from apps.catalog.adapters import sdk
from apps.runs.domain.suspicion import Evidence
from apps.runs.engine import progress
from apps.runs.services import workers
from apps.runs.services.workers import process_name, worker_name
from apps.workers.bells import UNREADABLE, Bell, Telling
from apps.workers.domain.bells import TASK
from apps.workers.recovery import take_back_from
from apps.workers.services.clocks import refuse_a_wrong_clock
from apps.workers.services.refusing import tell_of_refused
from apps.workers.services.watching import Watch, end_of, use_of

logger = logging.getLogger(__name__)
PR_SET_PDEATHSIG = 1
SAY_WHERE = signal.SIGUSR2  # a work-horse that gets it writes where each of its threads is
SAYING_S = 0.3
BEAT_S = 2  # whole seconds: RQ waits with SIGALRM
GRACE_S = 4.0  # how much longer than its patience a work-horse may live before it is killed
GC_AFTER = 20_000  # objects made before the newest are searched: a batch makes thousands


class LaneWorker(Worker):
    """A forking RQ worker. Its work-horse dies with it: RQ's own horse outlives a killed parent
    and would go on beside the worker that takes the work over."""

    max_connection_wait_time = 2.0  # between tries to reach Redis: it beats in between
    lane = ""
    is_draining = False
    told = 0  # how often it was told to end
    kill_at = float("inf")
    _horse_told = 0  # how often the present horse was
    _horse_status: int | None = None  # as the kernel gave it
    _horse_is_stuck = False
    _horse_is_late = False
    _board: progress.Board
    _watch: Watch
    _beaten_at = 0.0
    _refused: Telling

    # --- signs of life ------------------------------------------------------------------------

    @property
    def dequeue_timeout(self) -> int:
        """How long RQ waits for a bell before it beats: often enough to hear of a drain."""
        return BEAT_S

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's own sign of life, in the parent and in the horse; the parent's is told to PostgreSQL
        too, and hears there whether it is to drain."""
        if not self._is_horse and time.monotonic() - self._beaten_at >= BEAT_S / 2:
            self._beat()
        with _redis_may_be_away():
            super().heartbeat(timeout, pipeline)

    def _beat(self) -> None:
        self._beaten_at = time.monotonic()
        self._watch_horse()
        with _brief_connection():
            self.is_draining = workers.beat(
                self.name, "worker", self.lane, int(bool(self.horse_pid)), 0
            )
            if self.told:
                workers.note_stopping(self.name)
        with _brief_connection():
            self._tell_of_refused()
        if self.horse_pid and (self.is_draining or self.told):
            self._tell_horse(max(self.told, 1))
        if self.horse_pid and time.monotonic() > self.kill_at:
            logger.warning("the work-horse is not done in time and is killed")
            self._horse_is_late = True
            self.kill_horse()

    def _tell_of_refused(self) -> None:
        times, why = self._refused.due()
        if times:
            tell_of_refused(self.name, self.lane, times, why)

    def _watch_horse(self) -> None:
        """End a work-horse that is stuck, after it has been made to say where."""
        pid = self.horse_pid
        if not pid or self._horse_is_stuck:
            return
        seen = self._board.read()
        use = use_of(pid, seen.db_thread)
        self._horse_is_stuck = self._watch.is_stuck(seen, use, time.monotonic())
        if self._horse_is_stuck:
            named = ", ".join(map(str, seen.steps)) or "no step"
            logger.error("the work-horse is stuck (in %s) and is killed", named)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SAY_WHERE)
            time.sleep(SAYING_S)
            self.kill_horse()

    def maintain_heartbeats(self, job: Job) -> None:
        with _redis_may_be_away():
            super().maintain_heartbeats(job)

    def set_current_job_working_time(
        self, current_job_working_time: float, pipeline: Pipeline | None = None
    ) -> None:
        """Kept here only: RQ would note it in Redis too, where nobody reads it."""
        self.current_job_working_time = current_job_working_time

    def run_maintenance_tasks(self) -> None:
        """RQ's own tidying up. What it finds in Redis may be anybody's, and ends no worker."""
        try:
            with _redis_may_be_away():
                super().run_maintenance_tasks()
        except Exception:
            logger.exception("something in Redis can't be tidied up")

    def register_birth(self) -> None:
        """RQ's note that there is such a worker; nobody reads it here."""
        with _redis_may_be_away():
            super().register_birth()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        with _redis_may_be_away():
            super().set_state(state, pipeline)

    def subscribe(self) -> None:
        """Nobody commands workers through Redis: they are told by signals, and through
        PostgreSQL."""

    def unsubscribe(self) -> None:
        """See ``subscribe``."""

    def check_for_suspension(self, burst: bool) -> None:
        """Nobody suspends workers through Redis: they are drained, through PostgreSQL."""

    # --- taking work --------------------------------------------------------------------------

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next bell; while the worker drains there is none. ``timeout`` is ``None`` in burst
        mode, which doesn't wait."""
        while True:
            while self.is_draining and timeout is not None:
                time.sleep(BEAT_S / 4)
                self.heartbeat()
            try:
                found = super().dequeue_job_and_maintain_ttl(timeout, timeout and BEAT_S)
            except RedisError as error:  # of a Redis that hangs or is full: RQ itself would end
                if timeout is None:
                    raise
                logger.warning("no bells are heard: %s", error)
                time.sleep(BEAT_S / 2)
                continue
            except UNREADABLE:  # an id that is none: it is off the queue, the next one counts
                logger.exception("an entry of the queue can't be read")
                time.sleep(0.05)
                continue
            if found is not None or timeout is None:
                return found

    def execute_job(self, job: Job, queue: Queue) -> None:
        """What the horse does stands in PostgreSQL: that Redis went away meanwhile ends nobody."""
        with _redis_may_be_away():
            super().execute_job(job, queue)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        self._board = progress.share()
        self._watch = Watch(settings.STUCK_SECONDS)
        self._horse_told, self._horse_status = 0, None
        self._horse_is_stuck = self._horse_is_late = False
        super().fork_work_horse(job, queue)

    def wait_for_horse(self) -> Any:
        pid, self._horse_status, used = super().wait_for_horse()
        return pid, self._horse_status, used

    def monitor_work_horse(self, job: Job, queue: Queue) -> None:
        horse = process_name(self.horse_pid)
        super().monitor_work_horse(job, queue)
        with _brief_connection():
            workers.end_drains_of(self.name)
            take_back_from(horse, self._evidence(horse))  # it was waited for: it is dead

    def _evidence(self, horse: str) -> Evidence:
        """What the end of a work-horse says about the steps that it held."""
        seen, status = self._board.read(), self._horse_status or 0
        end = end_of(
            signal=_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else "",
            was_stuck=self._horse_is_stuck,
            was_told=self._horse_is_late,
            was_at_work=seen.is_draining,
        )
        return Evidence(horse, end, seen.steps)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == 1:  # the parent died before we asked to die with it
                os._exit(1)
        connections.close_all()  # a connection of the parent's must not be shared by the child
        with contextlib.suppress(OSError, ValueError):  # without a file to write to it stays silent
            faulthandler.enable()
            faulthandler.register(SAY_WHERE)
        gc.freeze()  # the code and the catalog live as long as the horse: never search them again
        gc.set_threshold(GC_AFTER, *gc.get_threshold()[1:])
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """In the horse: SIGTERM is a request to finish, not the end of everything in flight."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: workers.notice.tell())

    # --- ending -------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        """The first SIGTERM: pass it on."""
        self.told = 1
        self.kill_at = time.monotonic() + settings.FINISH_SECONDS + GRACE_S
        self._tell_horse(1)

    def _shutdown(self) -> None:
        """End after the horse, if there is one. RQ asks for its own state here, which it doesn't
        set while a horse works: it would leave at once and take the horse with it."""
        if not self.horse_pid:
            raise StopRequested
        self._stop_requested = True

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """The second SIGTERM: hurry. The third: kill."""
        self.told += 1
        if self.told > 2 or not self.horse_pid:
            super().request_force_stop(signum, frame)
            return
        self.kill_at = time.monotonic() + workers.HURRY_S + GRACE_S
        self._tell_horse(2)

    def teardown(self) -> None:
        with _redis_may_be_away():
            super().teardown()

    def _tell_horse(self, times: int) -> None:
        while self._horse_told < times and self.horse_pid:
            self._horse_told += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)


def _name(number: int) -> str:
    """A signal by its name; those of real time have none."""
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return str(number)


@contextlib.contextmanager
def _redis_may_be_away() -> Any:
    """RQ ends its worker when Redis does not take a note, and the horse would die with it in the
    midst of a call. Bells are rung again by the sweeper, so nothing of RQ's is worth that."""
    try:
        yield
    except RedisError as error:
        logger.warning("Redis did not hear of it: %s", error)


@contextlib.contextmanager
def _brief_connection() -> Any:
    """A connection for a moment only, so that none is open when a horse is forked. A database that
    is away is no reason to end: the next beat tries again; nor is a row that can't be read: what is
    left undone here the sweep does."""
    try:
        yield
    except DatabaseError as error:
        logger.warning("no sign of life could be given: %s", error)
    except Exception:
        logger.exception("a worker goes on without it")
    finally:
        connections.close_all()


def _look_up_by_key(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A worker finds rows by their keys, many at a time. Of tables that are new PostgreSQL knows no
    sizes yet, and would rather read all of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
        )


def _load() -> None:
    """What a work-horse needs is loaded once, by the parent that forks it: agents and the SDK take
    more than a second, for which the first step of every horse would wait."""
    import_module(TASK.rpartition(".")[0])
    sdk.load()


def _worker(lane: str, *, waits: bool) -> LaneWorker:
    """A worker of a lane. RQ asks Redis who it is as soon as it is made: one that starts while
    Redis is away ``waits`` for it as one that runs does, instead of ending."""
    queue = django_rq.get_queue(lane, serializer=JSONSerializer, job_class=Bell)
    while True:
        try:
            worker = LaneWorker(
                [queue],
                job_class=Bell,
                name=worker_name().replace(":", "-").replace(".", "-"),
                connection=queue.connection,
                serializer=JSONSerializer,
                worker_ttl=60,
                maintenance_interval=60,
                job_monitoring_interval=BEAT_S,
            )
        except RedisError as error:
            if not waits:
                raise
            logger.warning("the worker waits for Redis: %s", error)
            time.sleep(BEAT_S / 2)
            continue
        worker.lane, worker._refused = lane, Telling()
        return worker


class Command(BaseCommand):
    help = "Drain one lane with an RQ worker until told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lane", choices=settings.LANES, default="normal")
        parser.add_argument("--burst", action="store_true", help="stop when nothing is rung")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.POOLER:  # there it would be set for others, and not for this worker
            connection_created.connect(_look_up_by_key)
        refuse_a_wrong_clock()
        _load()
        Bell.lane = options["lane"]  # one process serves one lane
        worker = _worker(options["lane"], waits=not options["burst"])
        worker.work(burst=options["burst"], logging_level="WARNING", with_scheduler=False)
        with _brief_connection():
            workers.leave(worker.name)
