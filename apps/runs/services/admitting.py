"""Admission: what is waiting, read at most once a second, and what follows for new runs.

Several processes that admit runs at once each work with their own reading and with what they
admitted since. So a bound may be exceeded by one second's intake of the other processes: the price
of not locking.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.audit.domain.actors import SWEEPER, Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain.admission import (
    Accept,
    Admission,
    AdmissionRequest,
    Class,
    Defer,
    People,
    Queues,
    decide,
)
from apps.catalog import selectors as catalog
from apps.kernel import trouble
from apps.kernel.transactions import command, is_of_a_row
from apps.oversight.selectors import Asked, asked_by_roles
from apps.runs import course, dispatch, journal
from apps.runs.domain.rows import MovedRun
from apps.runs.domain.states import UNDER_WAY
from apps.runs.journal import intake, results
from apps.runs.models import Run
from apps.runs.selectors import load

READING_KEPT_S = 1.0
CALM = 20  # runs that wait; below that
CALM_KEPT_S = 5.0  # a reading is good for longer
SHARES_KEPT_S = 30.0
UNREADABLE_WAITS_S = 60.0  # until a run that could not begin is looked at again
EACH_JOB = 200  # deferred runs of a job looked at in one sweep
logger = logging.getLogger(__name__)
BOUNDS_OF = {Class.C1: "C1", Class.C2: "C2", Class.C3: "C3"}


def bounds() -> dict[Class, int]:
    """How many runs may wait, by class and whatever matters more."""
    return {cls: settings.QUEUE_BOUNDS[name] for cls, name in BOUNDS_OF.items()}


@dataclass(slots=True)
class PressureReading:
    """The pressure as one process sees it: read a moment ago, with its own doings added."""

    at: float
    queued: dict[tuple[Class, str], int]  # by class and job
    deferred: dict[Class, int]
    per_s: float | None
    asked: Sequence[Asked]
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def kept_s(self) -> float:
        """How long it is good for. What comes in is counted in, so that it ends with the calm."""
        waiting = sum(self.queued.values()) + sum(self.deferred.values())
        return CALM_KEPT_S if waiting < CALM else READING_KEPT_S

    def verdict(self, cls: Class, job: str, *, deadline_s: float, window_s: float) -> Admission:
        """What to do with one more run of a job. Counts it in."""
        case = AdmissionRequest(cls, deadline_s, self.share(job), window_s)
        verdict = decide(case, self.queues(), bounds(), self.people(job))
        if isinstance(verdict, Accept):
            self.queued[cls, job] = self.queued.get((cls, job), 0) + 1
        elif isinstance(verdict, Defer):
            self.deferred[cls] = self.deferred.get(cls, 0) + 1
        return verdict

    def queues(self) -> Queues:
        queued: dict[Class, int] = defaultdict(int)
        for (cls, _), n in self.queued.items():
            queued[cls] += n
        return Queues(queued, self.deferred, self.per_s)

    def people(self, job: str) -> People:
        """The queue of those who decide for ``job``, questions still to come included."""
        roles = _roles(self.asked, job)
        theirs = [a for a in self.asked if a.roles & roles]
        jobs = {name for a in theirs for name in a.jobs} | {job}
        return People(
            waiting=sum(a.waiting for a in theirs),
            coming=sum(n * self.share(j) for (_, j), n in self.queued.items() if j in jobs),
            decided_last_hour=sum(a.decided_last_hour for a in theirs),
            oldest_s=max((a.oldest_s for a in theirs), default=0.0),
        )

    def share(self, job: str) -> float:
        """The share of a job's runs that ask a person."""
        if job not in self.shares:
            self.shares[job] = _share_of(job)
        return self.shares[job]


def _roles(asked: Sequence[Asked], job: str) -> frozenset[str]:
    named = [a.roles for a in asked if job in a.jobs]
    return frozenset().union(*named) or frozenset({"operator"})


_reading: PressureReading | None = None
_shares: dict[str, tuple[float, float]] = {}


def _share_of(job: str) -> float:
    at, share = _shares.get(job, (-SHARES_KEPT_S, 0.0))
    if time.monotonic() - at >= SHARES_KEPT_S:
        found = load.share_needing_people(job)
        share = share if found is None else found
        _shares[job] = (time.monotonic(), share)
    return share


def reading() -> PressureReading:
    """The pressure, read at most once a second in this process; less often while it is calm."""
    global _reading  # a small cache of the process
    if _reading is None or time.monotonic() - _reading.at >= _reading.kept_s:
        waiting = load.waiting()
        _reading = PressureReading(
            time.monotonic(), waiting.queued, waiting.deferred, load.begun_per_s(), asked_by_roles()
        )
    return _reading


def forget_reading() -> None:
    """Read the pressure anew the next time."""
    global _reading  # a small cache of the process
    _reading = None
    _shares.clear()


def tend_queue() -> int:
    """One part of the sweep: keep a sample of the load, and begin deferred runs when the pressure
    has gone. Returns how many began."""
    forget_reading()
    now = reading()
    queued = {str(int(cls)): n for cls, n in now.queues().queued.items()}
    intake.note_load(
        {
            "queued": queued,
            "deferred": sum(now.deferred.values()),
            "open_approvals": sum(a.waiting for a in now.asked),
        },
        least_s=settings.SWEEP_SECONDS * 0.8,
        keep_s=load.SAMPLES_KEPT_S,
    )
    if not intake.is_waiting():
        return 0
    begun = _admit_deferred(now)
    for lane in {run.lane for run in begun}:
        dispatch.ring(lane)
    return len(begun)


@command
def _admit_deferred(now: PressureReading) -> list[Run]:
    """Begin the deferred runs that there is room for, most important first, then oldest. A run
    that was taken in is never shed later: it waits on, and its deadline, which counts from when it
    was taken in, still ends it."""
    waiting, begin, later = intake.lock_deferred(each_job=EACH_JOB), [], []
    runs = Run.objects.in_bulk([run_id for run_id, _, _ in waiting])
    for run_id, cls, job in waiting:
        verdict = _verdict_apart(now, runs[run_id], Class(cls), job)
        if isinstance(verdict, Accept):
            begin.append(runs[run_id])
        else:
            wait_s = verdict.for_s if isinstance(verdict, Defer) else verdict.retry_after_s
            later.append((run_id, wait_s, verdict.reason))
    intake.defer_on(later)
    return _begin_apart(begin)


def _verdict_apart(now: PressureReading, run: Run, cls: Class, job: str) -> Admission:
    """What becomes of one run. One whose contract can't be read waits on, and the others don't
    wait for it."""
    try:
        contract = catalog.contract(run.contract_version_id)
        deadline_s, window_s = contract.limits.deadline_s, contract.decisions.window_s
        return now.verdict(cls, job, deadline_s=deadline_s, window_s=window_s)
    except Exception as error:
        if not is_of_a_row(error):
            raise
        logger.exception("deferred run %s can't be judged", run.pk)
        return Defer(UNREADABLE_WAITS_S, f"It can't begin: {trouble.words(error)}.")


def _begin_apart(runs: Sequence[Run]) -> list[Run]:
    """Begin these runs at once; where one of them is in the way, one by one. Returns those that
    began."""
    if not runs:
        return []
    try:
        with transaction.atomic():
            _begin(runs)
        return list(runs)
    except Exception as error:
        if not is_of_a_row(error):
            raise
        if len(runs) == 1:
            logger.exception("deferred run %s can't begin", runs[0].pk)
            why = f"It can't begin: {trouble.words(error)}."
            intake.defer_on([(runs[0].pk, UNREADABLE_WAITS_S, why)])
            return []
    return [run for one in runs for run in _begin_apart([one])]


def _begin(runs: Sequence[Run]) -> None:
    ids = [r.id for r in runs]
    intake.undefer(ids)
    path = course.advance_runs(course.load(ids).values(), notes={})
    ended = [i for i, row in path.runs.items() if row.state not in UNDER_WAY]
    intake.begin_at_once(ended)
    journal.update_runs(list(path.runs.values()))
    journal.add_messages(path.messages)
    results.keep(path.results)
    journal.add_steps(path.steps, owner="", lease_s=None)
    facts = [_begun(r.id, r.job_slug) for r in runs]
    record_many([*facts, *(ended_fact(i, path.runs[i], SWEEPER) for i in ended)])


def _begun(run_id: UUID, job: str) -> Fact:
    payload = {"job": job, "was": "deferred"}
    return Fact("run.accepted", SWEEPER, "run", str(run_id), run_id, payload)


def ended_fact(run_id: UUID, row: MovedRun, actor: Actor) -> Fact:
    """That a run was answered on the spot."""
    payload = {"outcome": row.outcome}
    return Fact(f"run.{row.state}", actor, "run", str(run_id), run_id, payload)
