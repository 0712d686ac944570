"""Put a run aside for a while, let it go on, and let a poison step be tried again."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.kernel.apart import Aside, deal
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import after_commit, command
from apps.oversight.services import edited_from
from apps.runs import dispatch
from apps.runs.domain.pausing import OPEN
from apps.runs.journal import parking, poison
from apps.runs.models import Run

NOT_LET_GO = Aside("step")


@command
def pause_run(run_id: UUID, *, actor: Actor, reason: str) -> None:
    """Let nothing further of a run begin until it is resumed. A call on its way is finished and
    recorded; its deadline goes on counting. Pausing a run that is paused or over is a conflict."""
    said = _said(reason, "Say why the run is paused.")
    # Guarded: of two who pause at once one did; a run that ended meanwhile isn't paused.
    moved = Run.objects.filter(id=run_id, state__in=OPEN, paused_at=None).update(
        paused_at=Now(), paused_by=actor.text, pause_reason=said
    )
    if not moved:
        raise _not_paused_by_us(run_id)
    parking.park_run(run_id)
    _record("run.paused", run_id, actor, reason=said)


@command
def resume_run(run_id: UUID, *, actor: Actor) -> None:
    """Let a paused run go on where it stopped. A run that isn't paused is a conflict."""
    # Whoever clears ``paused_at`` has resumed it; a second person finds it cleared.
    moved = Run.objects.filter(id=run_id, state__in=OPEN, paused_at__isnull=False).update(
        paused_at=None, paused_by="", pause_reason=""
    )
    if not moved:
        run = _run(run_id)
        over = run.state not in OPEN
        raise ConflictError(
            "The run has ended meanwhile; reload to see how."
            if over
            else "The run isn't paused: somebody has resumed it already. Reload to see.",
            code="run_ended" if over else "not_paused",
        )
    for lane in set(parking.unpark_run(run_id)):
        after_commit(partial(dispatch.ring, lane))
    _record("run.resumed", run_id, actor)


def unpark_resumed() -> int:
    """A duty: let go what was parked at the very moment in which its run was resumed. A step that
    can't be is set aside."""
    found = parking.resumed(besides=NOT_LET_GO.left_alone())
    return len(deal(found, lambda some: command(parking.unpark)(some), NOT_LET_GO))


@command
def try_poison_again(run_id: UUID, seq: int, *, actor: Actor, reason: str) -> None:
    """Have a step tried again that took several workers with it. It is tried alone, so that nothing
    else suffers. The run goes on from there; its deadline is as it was."""
    said = _said(reason, "Say why it may work now.")
    found = poison.lock(run_id, seq)
    if found is None:
        _run(run_id)
        raise ConflictError(
            "This step isn't poison any more: somebody has had it tried again. Reload to see.",
            code="not_poison",
        )
    step_id, losses, lane, in_time = found
    if not in_time:
        raise ConflictError("The deadline of the run has passed; start a new one.", code="overdue")
    poison.queue_again(step_id, edited_from=edited_from(step_id))
    payload = {"seq": seq, "workers_lost": losses, "reason": said}
    record(
        kind="step.tried_again",
        actor=actor,
        subject_type="step",
        subject_id=step_id,
        run_id=run_id,
        payload=payload,
    )
    _record("run.queued", run_id, actor, **payload)
    after_commit(partial(dispatch.ring, lane))


def _said(reason: str, otherwise: str) -> str:
    if not reason.strip():
        raise InvalidInputError(otherwise, field="reason")
    return reason.strip()[:500]


def _run(run_id: UUID) -> Run:
    run = Run.objects.filter(id=run_id).first()
    if run is None:
        raise NotFoundError("There is no such run.")
    return run


def _not_paused_by_us(run_id: UUID) -> ConflictError:
    run = _run(run_id)
    if run.paused_at and run.state in OPEN:
        since = run.paused_at.strftime("%H:%M:%S UTC")
        who = Actor.parse(run.paused_by)
        said = f"{who} paused the run already, at {since}: “{run.pause_reason}”."
        return ConflictError(said, code="already_paused")
    return ConflictError("The run has ended meanwhile; reload to see how.", code="run_ended")


def _record(kind: str, run_id: UUID, actor: Actor, **payload: Any) -> None:
    record(
        kind=kind,
        actor=actor,
        subject_type="run",
        subject_id=run_id,
        run_id=run_id,
        payload=payload,
    )
