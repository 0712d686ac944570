"""The simulated sweep: ``audit.services.sweep``, whenever there may be something for it to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.calls.domain import admission
from apps.calls.domain.admission import Accept, AdmissionRequest, Defer, Queues
from apps.runs.domain.finding import look_again_s
from apps.runs.domain.states import UNSETTLED, State
from apps.runs.domain.suspicion import MANY, Evidence
from tests.simulation.rows import FOR_EVER, Run

if TYPE_CHECKING:
    from tests.simulation.world import World

S = State


def sweep(world: World) -> None:
    store = world.store
    _expire_approvals(world)
    _take_back_leases(world)
    for approval in list(store.approvals.values()):
        if approval.state != "pending":
            store.wake(approval)
    store.end_overdue()
    _carry_on_undoing(world)
    world.bounds.half_open_due()
    world.bounds.wake_freed()
    _admit_deferred(world)
    _look_up(world)
    if store.due(limit=1, group=MANY) or store.suspects():
        world.ring(surely=True)
        world.want_sweep(world.now)


def _expire_approvals(world: World) -> None:
    for approval in world.store.approvals.values():
        if approval.state == "pending" and approval.expires_at <= world.now:
            approval.state = "expired"
            world.log("sweep", f"{approval.step.name} nobody decided")


def take_back_from(world: World, evidence: Evidence) -> None:
    """``recovery.take_back_from``: a worker has seen its work-horse end."""
    if world.db_is_down():
        return
    _take_back_leases(world, evidence)
    world.ring()


def _take_back_leases(world: World, evidence: Evidence | None = None) -> None:
    """``recovery.take_back_leases``."""
    store = world.store
    for step in store.expire_leases(evidence):
        run = step.run
        world.log("sweep", f"{step.name} lost by its worker", step.state.value)
        if step.state is S.CONFIRMATION_UNKNOWN and run.state is S.RUNNING:
            store.move_run(run, S.CONFIRMATION_UNKNOWN, error_class="unknown")
        elif step.state is S.FAILED and run.state in {S.QUEUED, S.RUNNING}:
            store.move_run(run, S.FAILED, outcome="error", error_class="poison")
            world.after(world.rng.uniform(5.0, 60.0), world.people.try_poison_again, step)
        if step.state is not S.QUEUED:
            world.engine.carry_on(run)


def _carry_on_undoing(world: World) -> None:
    for run in world.store.runs.values():
        if run.state is S.COMPENSATING and not any(
            s.compensates is not None and s.state in UNSETTLED for s in run.steps
        ):
            world.engine.carry_on(run)


def verdict_on(world: World, run: Run) -> admission.Admission:
    """``admitting.PressureReading.verdict``: the queues and the people's queue as they stand."""
    queued: dict[admission.Class, int] = {}
    deferred: dict[admission.Class, int] = {}
    for other in world.store.runs.values():
        if other is run:
            continue
        if other.state is S.QUEUED and not any(s.attempts_made for s in other.steps):
            queued[other.cls] = queued.get(other.cls, 0) + 1
        elif other.state is S.ACCEPTED:
            deferred[other.cls] = deferred.get(other.cls, 0) + 1
    pending = [a for a in world.store.approvals.values() if a.state == "pending"]
    oldest_s = max((world.now - a.expires_at + 600.0 for a in pending), default=0.0)
    people = admission.People(len(pending), 0.0, 0 if world.nobody_decides else 60, oldest_s)
    case = AdmissionRequest(run.cls, run.deadline_s, world.asks[run.job], 120.0)
    return admission.decide(case, Queues(queued, deferred, None), world.queue_bounds, people)


def _admit_deferred(world: World) -> None:
    """``admitting._admit_deferred``: a run that was taken in is never shed later."""
    waiting = [
        r
        for r in world.store.runs.values()
        if r.state is S.ACCEPTED and (r.deferred_until or 0.0) <= world.now
    ]
    for run in sorted(waiting, key=lambda r: (r.cls, r.name)):
        verdict = verdict_on(world, run)
        if isinstance(verdict, Accept):
            world.log("sweep", f"{run.name} begins after all")
            world.engine.begin(run)
        else:
            wait_s = verdict.for_s if isinstance(verdict, Defer) else verdict.retry_after_s
            run.deferred_until = world.now + wait_s
            world.want_sweep(run.deferred_until)


def _look_up(world: World) -> None:
    """``reconcile.look_up_due`` and ``unknown.take_for_look_up``."""
    store = world.store
    for step in list(store.by_state[S.CONFIRMATION_UNKNOWN].values()):
        if step.tool.idempotency != "lookup" or step.not_before > world.now:
            continue
        round_number = step.attempts_made
        tries = store.look_ups[step.id, round_number] = 1 + store.look_ups[step.id, round_number]
        wait_s = look_again_s(tries)
        step.not_before = FOR_EVER if wait_s is None else world.now + wait_s
        world.want_sweep(step.not_before)
        world.after(world.rng.uniform(0.0, 2.0), world.people.look_up, step, round_number)
