"""Stop a run for good."""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from apps.audit import selectors as log
from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import command
from apps.oversight import services as approvals
from apps.runs import journal
from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import CANCELLABLE, State
from apps.runs.domain.undo import FAILED, UNKNOWN
from apps.runs.models import Run

UNDOING = (FAILED, UNKNOWN)


@command
def cancel_run(run_id: UUID, *, actor: Actor, reason: str) -> None:
    """Stop a run for good. What is already on its way to a tool is finished and recorded; nothing
    further starts. Losing the race against the run's own end is told as a conflict; the same order
    again (a double click, a retry whose answer was lost) changes nothing and is no conflict."""
    if not reason.strip():
        raise InvalidInputError("Say why the run is cancelled.", field="reason")
    mine = Run.objects.filter(id=run_id)
    if not mine.exists():
        raise NotFoundError("There is no such run.")
    # A guarded update against the engine: whichever commits first decides.
    # A run whose undoing waits for a person isn't dropped: it is tried again, or said to stay.
    moved = (
        mine.filter(state__in=CANCELLABLE)
        .exclude(error_class__in=UNDOING)
        .update(
            state=State.CANCELLED,
            outcome=RunOutcome.CANCELLED,
            error_class="cancelled",
            summary=reason,
            finished_at=Now(),
        )
    )
    if not moved:
        if _is_done_already(run_id, actor, reason):
            return
        raise ConflictError("The run has ended meanwhile; reload to see how.", code="run_ended")
    steps = journal.cancel_waiting_steps(run_id)
    approvals.void_for_run(run_id)
    why = {"reason": reason}
    record_many(
        [Fact("step.cancelled", actor, "step", str(i), run_id, why) for i in steps]
        + [Fact("run.cancelled", actor, "run", str(run_id), run_id, why)]
    )


def _is_done_already(run_id: UUID, actor: Actor, reason: str) -> bool:
    """Whether this very order was carried out. Whoever waited for the run's row while the first of
    two identical orders held it, reads here what that one committed."""
    return any(
        e.kind == "run.cancelled"
        and Actor.parse(e.actor) == actor
        and e.payload.get("reason") == reason
        for e in log.events_of("run", run_id)
    )
