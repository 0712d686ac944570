"""Find what crashes and lost bells left behind, and put it back on its way.

Safe to run anywhere, any number of times at once: every change is a guarded update.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from apps.audit.domain.actors import SWEEPER
from apps.audit.services import Fact, record_many
from apps.kernel import trouble
from apps.kernel.apart import Aside, deal
from apps.kernel.transactions import command, is_of_a_row, participant
from apps.oversight import services as approvals
from apps.runs import dispatch, journal
from apps.runs.domain.results import Disposition, RunOutcome
from apps.runs.domain.suspicion import UNEXPLAINED, Evidence
from apps.runs.journal import breakers, lost, troubled, undoing
from apps.runs.models import Step

logger = logging.getLogger(__name__)
NOT_TAKEN_BACK = Aside("step")
NOT_WOKEN = Aside("question")
NOT_ENDED = Aside("run")
NOT_TAKEN_BACK_WORDS = "its worker went silent, and it could not be taken back: {why}."


def take_back_leases() -> int:
    """Queue the steps whose worker went silent. A mutation that was intended but not receipted is
    tried again with its key where the tool takes one or can be asked; otherwise nobody can know,
    and a person has to say. That a worker is gone says nothing about its steps. One that can't be
    taken back is ended, or set aside."""
    dead = lost.dead(besides=NOT_TAKEN_BACK.left_alone())
    return len(_take_back_apart(dead, None, were_alone=None))


def _take_back_apart(
    ids: Sequence[UUID], evidence: Evidence | None, *, were_alone: bool | None
) -> list[UUID]:
    return deal(
        ids,
        lambda some: command(_take_back)(evidence, only=some, were_alone=were_alone),
        NOT_TAKEN_BACK,
        lesser=[_give_up],
    )


@participant
def _take_back(
    evidence: Evidence | None,
    *,
    only: Sequence[UUID] | None = None,
    were_alone: bool | None = None,
) -> list[UUID]:
    rows = lost.expire_leases(
        most_losses=UNEXPLAINED, evidence=evidence, only=only, were_alone=were_alone
    )
    unknown = lost.mark_unknown_runs([r.run_id for r in rows if r.state == "confirmation_unknown"])
    reasons = {r.run_id: f"Step {r.seq}, {r.tool}: {r.words}" for r in rows if r.state == "failed"}
    failed = lost.fail_runs(reasons, error_class="poison")
    undoing.carry_on([r.run_id for r in rows if r.state != "queued"], actor=SWEEPER)
    record_many(
        [
            Fact(
                f"step.{'lease_lost' if r.state == 'queued' else r.state}",
                SWEEPER,
                "step",
                str(r.step_id),
                r.run_id,
                {"losses": r.losses, "worker": r.owner} | ({"why": r.words} if r.words else {}),
            )
            for r in rows
        ]
        + [_fact_of_run("confirmation_unknown", i, outcome="") for i in unknown]
        + [_fact_of_run("failed", i, outcome=RunOutcome.ERROR) for i in failed]
    )
    return [r.step_id for r in rows]


@command
def _give_up(step_id: UUID, error: BaseException) -> list[UUID]:
    """End a step that can't be taken back, and its run with it."""
    words = NOT_TAKEN_BACK_WORDS.format(why=trouble.words(error))
    found = lost.give_up(step_id, words=words)
    if found is None:
        return []
    run_id, seq, state = found
    ended = troubled.end_run(
        run_id, state=state, error_class="engine", summary=f"Step {seq}: {words}"
    )
    facts = [Fact(f"step.{state}", SWEEPER, "step", str(step_id), run_id, {"why": words})]
    if ended:
        outcome = RunOutcome.ERROR if ended == "failed" else ""
        facts.append(_fact_of_run(ended, run_id, outcome=outcome))
    record_many(facts)
    return [step_id]


def take_back_from(process: str, evidence: Evidence | None = None) -> int:
    """Take back at once what a process held that is known to be dead: nobody needs to wait for
    leases that nobody can renew. ``evidence``: how it ended, which may show that a step of it is
    poison. Returns how many steps that were."""
    try:
        held = _take_back_from(process, evidence)
    except BaseException as error:
        if not is_of_a_row(error):
            raise
        logger.warning("what %s held can't be taken back at once", process, exc_info=error)
        held = _take_back_one_by_one(process, evidence)
    if held:
        ring_due()
    return held


@command
def _take_back_from(process: str, evidence: Evidence | None) -> int:
    held = lost.end_leases_of(process)
    taken = _take_back(evidence) if held else []
    if evidence is not None:
        lost.suspect(evidence, besides=taken)
    return held


def _take_back_one_by_one(process: str, evidence: Evidence | None) -> int:
    """The same in as many transactions as it takes: one step that makes trouble leaves the others
    to be taken back, and what the end of the process says of them is the same."""
    held = command(lost.end_leases_of)(process)
    taken = _take_back_apart(lost.dead(), evidence, were_alone=held == 1)
    if evidence is not None:
        command(lost.suspect)(evidence, besides=taken)
    return held


def _fact_of_run(state: str, run_id: UUID, *, outcome: str) -> Fact:
    return Fact(f"run.{state}", SWEEPER, "run", str(run_id), run_id, {"outcome": outcome})


def wake_decided() -> int:
    """Wake steps whose approval was decided before this tower delivered events (see
    ``reactions``); done once, when a sweeper starts."""
    waiting = lost.waiting_approvals(besides=NOT_WOKEN.left_alone())
    decided = approvals.decided_among(waiting) if waiting else []
    return len(deal(decided, lambda some: command(journal.wake)(some), NOT_WOKEN))


def end_overdue_runs() -> int:
    """A deadline always wins: runs past theirs end as failed, unless a call is on its way. One that
    can't be ended with its questions is ended without them (their time is over all the same), or
    set aside."""
    late = lost.overdue(besides=NOT_ENDED.left_alone())
    ended = deal(late, _end_overdue, NOT_ENDED, lesser=[_end_overdue_alone])
    return len(ended)


@command
def _end_overdue(run_ids: Sequence[UUID]) -> list[UUID]:
    ended = _fail_overdue(run_ids)
    for run_id in ended:
        approvals.void_for_run(run_id)
    return ended


@command
def _end_overdue_alone(run_id: UUID, _: BaseException) -> list[UUID]:
    return _fail_overdue([run_id])


@participant
def _fail_overdue(run_ids: Sequence[UUID]) -> list[UUID]:
    ended, steps = lost.end_overdue(run_ids)
    late = {"disposition": Disposition.FAILED, "error_class": "deadline"}
    record_many(
        [Fact("step.failed", SWEEPER, "step", str(s), run, late) for s, run in steps]
        + [_fact_of_run("failed", i, outcome=RunOutcome.TIMED_OUT) for i in ended]
    )
    return ended


@command
def carry_on_undoing() -> int:
    """Carry on the undoing of runs in which none is under way; returns how many there were."""
    found = undoing.stalled()
    undoing.carry_on(found, actor=SWEEPER)
    return len(found)


@command
def half_open_breakers() -> int:
    """Let breakers whose waiting time is over try again."""
    return breakers.half_open_due()


def ring_due() -> tuple[str, ...]:
    """Ring for every lane that has due work."""
    due = Step.objects.filter(state="queued", not_before__lte=Now())
    lanes = tuple(lane for lane in settings.LANES if due.filter(lane=lane).exists())
    for lane in lanes:
        dispatch.ring(lane)
    return lanes
