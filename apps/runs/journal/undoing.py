"""Undoing a run: begin, go on after each undoing, stop for a person, end.

Each function takes the run's row first (``FOR UPDATE``), then reads how far the undoing is and
writes. The races: two people press the button, a person tries again while the sweep takes a lease
back, a late answer closes an undoing that a person is looking at. Whoever comes second finds the
run in another state, or the next effect already under way, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Greatest, Now

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain import keys
from apps.catalog.selectors import contract as contract_of
from apps.kernel.ids import new_id
from apps.kernel.statements import fetch
from apps.kernel.transactions import after_commit, is_of_a_row, participant
from apps.runs import dispatch, journal
from apps.runs.domain import undo
from apps.runs.domain.states import UNSETTLED, State
from apps.runs.models import Message, Run, Step
from apps.runs.selectors import undo_plans

logger = logging.getLogger(__name__)
URGENT = 0  # the most urgent priority; undoing is never shed


@participant
def lock(run_id: UUID) -> Run | None:
    """Take the run's row; ``None`` when there is no such run."""
    # Two people, or a person and the engine: the second waits, and reads what the first began.
    return Run.objects.select_for_update().filter(pk=run_id).first()


@participant
def begin(run: Run, plan: undo.UndoPlan, *, actor: Actor, reason: str) -> None:
    """Move a run that we have locked to compensating and queue the first undoing. Its deadline is
    the contract's, counted from now: the undoing of yesterday's run must not be late at once."""
    was = {"state": run.state, "outcome": run.outcome, "error_class": run.error_class}
    moved = Run.objects.filter(pk=run.pk, state=run.state).update(
        state="compensating",
        outcome="",
        error_class="",
        criticality_class=0,
        finished_at=None,
        paused_at=None,
        deadline_at=_deadline(run),
    )
    if moved != 1:
        raise RuntimeError("a run that was locked has moved")
    payload = {"reason": reason, "plan": plan.digest, "was": was}
    record_many([Fact("run.compensating", actor, "run", str(run.pk), run.pk, payload)])
    carry_on([run.pk], actor=actor)


@participant
def carry_on(run_ids: Sequence[UUID], *, actor: Actor) -> None:
    """Take these runs a step further in their undoing: queue the next one when the last is done,
    stop for a person when it failed or nobody knows, end the run when nothing is left. Runs that
    aren't compensating, or whose undoing is under way, are left alone."""
    if not run_ids:
        return
    # Whoever holds the run queues its next undoing: a sweep and a worker never queue it twice.
    rows = Run.objects.select_for_update().filter(pk__in=run_ids, state="compensating")
    for run in rows.defer("input").order_by("pk"):
        _go_on_apart(run, actor)


@participant
def reopen(run_id: UUID, *, actor: Actor, **payload: Any) -> bool:
    """Let the undoing of a run go on that had stopped for a person; whether it had."""
    run = lock(run_id)
    if run is None or run.state == "compensating" or not undo_plans.is_undoing(run):
        return False
    # Locked above: whoever stopped it has committed, and nobody else moves it until we do.
    Run.objects.filter(pk=run_id, state=run.state).update(
        state="compensating", error_class="", deadline_at=_deadline(run)
    )
    record_many([Fact("run.compensating", actor, "run", str(run_id), run_id, payload)])
    return True


@participant
def resume(run_id: UUID, *, actor: Actor) -> bool:
    """As ``reopen``, and take the next step. Whether the run was being undone."""
    if not reopen(run_id, actor=actor):
        return False
    carry_on([run_id], actor=actor)
    return True


@participant
def again(run: Run, item: undo.Item, *, actor: Actor, reason: str) -> None:
    """Queue another try of an undoing that failed, in a run that we have locked. The failed one
    gives its key up: it is known not to have happened."""
    if item.by is None or item.stage is not undo.Stage.FAILED:
        raise RuntimeError("only an undoing that failed is tried again")
    journal.free_intents([item.by.id])
    reopen(run.pk, actor=actor, reason=reason, again=item.step.seq)
    _queue(run, item, actor)


@participant
def undone_seq(step_id: UUID) -> int | None:
    """The number of the step that this one undoes; ``None`` for one that undoes nothing."""
    rows = fetch(
        "SELECT t.seq FROM runs_step s JOIN runs_step t ON t.id = s.compensates_id WHERE s.id = %s",
        [step_id],
    )
    return rows[0][0] if rows else None


@participant
def stalled(*, limit: int = 100) -> list[UUID]:
    """Runs that are compensating with no undoing under way: an older release's worker may have
    ended one without knowing how to go on."""
    rows = journal.fetch(
        """
        SELECT r.id FROM runs_run r WHERE r.state = 'compensating' AND NOT EXISTS (
            SELECT FROM runs_step s WHERE s.run_id = r.id AND s.compensates_id IS NOT NULL
              AND s.state = ANY(%s))
        LIMIT %s
        """,
        [sorted(UNSETTLED), limit],
    )
    return [row[0] for row in rows]


def _go_on_apart(run: Run, actor: Actor) -> None:
    """Take one run a step further; one whose undoing nobody can plan stops for a person, and the
    others don't notice."""
    try:
        with transaction.atomic():
            _go_on(run, actor)
    except Exception as error:
        if not is_of_a_row(error):
            raise
        logger.exception("the undoing of run %s can't go on", run.pk)
        _move(run, actor, undo.UndoEnd(State.CONFIRMATION_UNKNOWN, error_class=undo.FAILED))


def _go_on(run: Run, actor: Actor) -> None:
    plan = undo_plans.plan_of(run)
    if end := undo.rest(plan):
        _move(run, actor, end)
    elif plan.next and plan.next.stage is undo.Stage.TO_DO:
        _queue(run, plan.next, actor)


def _move(run: Run, actor: Actor, end: undo.UndoEnd) -> None:
    changes = {name: value for name, value in asdict(end).items() if value}
    over = {"finished_at": Now()} if end.state is State.COMPENSATED else {}
    Run.objects.filter(pk=run.pk, state="compensating").update(**changes, **over)
    payload = {k: v for k, v in changes.items() if k != "state"}
    record_many([Fact(f"run.{end.state}", actor, "run", str(run.pk), run.pk, payload)])


def _queue(run: Run, item: undo.Item, actor: Actor) -> None:
    """A step that undoes another: queued as the most urgent of its lane, judged by the gate like
    any step."""
    version = undo_plans.tool_of(run, item.tool)
    seq = (Step.objects.filter(run_id=run.pk).aggregate(top=Max("seq"))["top"] or 0) + 1
    said = Message.objects.filter(run_id=run.pk).aggregate(top=Max("seq"))["top"]
    step = Step.objects.create(
        id=new_id(),
        run_id=run.pk,
        seq=seq,
        after_message=said or 0,
        tool_version=version,
        tool_name=item.tool,
        effect=version.effect if version else "write",
        idempotency=version.idempotency if version else "none",
        arguments=dict(item.arguments),
        arguments_digest=keys.arguments_digest(dict(item.arguments)),
        idempotency_key=keys.undoing_key(run.pk, item.step.id, item.tool, item.arguments),
        compensates_id=item.step.id,
        lane=run.lane,
        priority=URGENT,
    )
    Run.objects.filter(pk=run.pk).update(steps_total=seq)
    payload = {"seq": seq, "tool": item.tool, "undoes": item.step.seq}
    record_many([Fact("step.queued", actor, "step", str(step.pk), run.pk, payload)])
    after_commit(partial(dispatch.ring, run.lane))


def _deadline(run: Run) -> Any:
    """The later of the run's deadline and the contract's time from now, by the database's clock."""
    window = timedelta(seconds=contract_of(run.contract_version_id).limits.deadline_s)
    return Greatest(run.deadline_at, Now() + window)
