"""Steps in confirmation_unknown: asked about at the tool, resolved by people.

A call was sent and its answer lost; the machine never tries it again by itself. A tool with a
look-up is asked by the idempotency key, by a person's click or now and then by the sweep; what it
knows settles the step. Otherwise people say what they found out, two of them from risk high on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from apps.audit.domain.actors import SWEEPER, TOWER, Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain.lookup import Looked, read_answer, stored_answer
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.kernel import trouble
from apps.kernel.canonical import digest
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.ids import new_id
from apps.kernel.transactions import after_commit, command, is_of_a_row, participant
from apps.oversight.services import edited_from, edits_told
from apps.policy.selectors import risk_of
from apps.redaction import services as redaction
from apps.runs import course, dispatch, journal
from apps.runs.domain.finding import FindingVerdict, is_agreed
from apps.runs.domain.results import Disposition, Proof
from apps.runs.domain.rows import NewReceipt
from apps.runs.domain.states import UNDOABLE
from apps.runs.journal import bodies, results, tickets, undoing, unknown
from apps.runs.models import Finding
from apps.runs.selectors import undo_plans
from apps.runs.selectors import unknown as known
from apps.runs.work import Settled

logger = logging.getLogger(__name__)
T = TypeVar("T")
LOOK_UP_TIMEOUT_S = 8.0  # a person waits for it
SWEEP_TIMEOUT_S = 2.0  # the rest of the sweep waits for it
PROOF_PURPOSE = "tower.proof.v1"
UNDONE = "A person found that step {seq}, “{tool}”, did not happen: {evidence}"


# --- people ---------------------------------------------------------------------------------------


@command
def resolve(
    step_id: UUID,
    *,
    round_number: int,
    verdict: FindingVerdict,
    evidence: str,
    person: Any,
    ticket: UUID | None = None,
) -> bool:
    """Say what was found out about an unknown step, with the evidence. Whether that resolved it:
    from risk high on, a second person has to say the same. ``round_number`` is the number of
    attempts that the person saw. Losing the race is told as a conflict, with who won and when. One
    form's ``ticket`` says it once: sent again it changes nothing and is no conflict."""
    if not person.may("runs.reconcile"):
        raise NotPermittedError("Only operators may say what became of a lost call.")
    if verdict is FindingVerdict.UNDO and not person.may("runs.undo"):
        raise NotPermittedError("Only operators may undo what a run did.")
    if not evidence.strip():
        raise InvalidInputError("Say how you know.", field="evidence")
    if not tickets.spend(ticket, use="reconcile", subject=step_id, actor=person.actor):
        return Finding.objects.get(pk=ticket).settled
    step = _lock(step_id, round_number)
    if verdict is FindingVerdict.TRY_AGAIN and not step.in_time:
        raise ConflictError("The run's deadline has passed: it can't be tried again.")
    votes = [*known.votes_of(step_id, round_number), (person.pk, verdict.value)]
    settles = is_agreed(votes, verdict, risk_of(step_id))
    finding = _find(
        step,
        round_number,
        verdict,
        evidence=evidence.strip(),
        person=person,
        settled=settles,
        finding_id=ticket,
    )
    kind = "step.reconciled" if settles else "step.finding"
    if settles:
        _act(step, verdict, evidence.strip(), person.actor)
    record_many([_fact(kind, step, person.actor, verdict, finding)])
    return settles


def _lock(step_id: UUID, round_number: int) -> unknown.Unknown:
    step = unknown.lock(step_id, round_number)
    if step is not None:
        return step
    last = known.settled_by(step_id)
    if last is None:
        raise ConflictError("This step isn't unknown any more; reload to see how it stands.")
    raise ConflictError(
        f"{last.who} has resolved this step meanwhile: {last.words}.",
        code="resolved",
        who=last.who,
        when=last.at,
    )


@participant
def _act(step: unknown.Unknown, verdict: FindingVerdict, evidence: str, actor: Actor) -> None:
    if verdict is FindingVerdict.HAPPENED:
        _succeed(
            step, {"content": f"Confirmed by a person: {evidence}", "data": None}, Proof.PERSON
        )
    elif verdict is FindingVerdict.GIVE_UP:
        unknown.settle(
            step.step_id,
            state="failed",
            disposition=Disposition.FAILED,
            result=None,
            error_class="not_done",
            error=f"It did not happen: {evidence}",
        )
        journal.free_intents([step.step_id])
        note = UNDONE.format(seq=step.seq, tool=step.tool_name, evidence=evidence)
        _go_on(step, [note])
    elif verdict is FindingVerdict.UNDO:
        _undo(step, evidence, actor)
    elif undoing.reopen(step.run_id, actor=actor) or unknown.reopen_run(step.run_id, "queued"):
        unknown.queue_again(step.step_id, edited_from=edited_from(step.step_id))
        after_commit(partial(dispatch.ring, step.lane))
    else:
        raise ConflictError("The run has ended meanwhile: it can't be tried again.")


@participant
def _undo(step: unknown.Unknown, evidence: str, actor: Actor) -> None:
    """The step happened and is undone, with all that its run did: the run doesn't go on."""
    run = undoing.lock(step.run_id)
    if run is None or undo_plans.is_undoing(run) or run.state not in UNDOABLE:
        raise ConflictError("The run has moved on meanwhile: reload to see how it stands.")
    result = {"content": f"Confirmed by a person: {evidence}", "data": None}
    _settle_happened(step, result, Proof.PERSON)
    plan = undo_plans.plan_of(run)
    if not undo_plans.can_begin(run, plan):
        raise ConflictError("Nothing that this run did can be undone.")
    undoing.begin(run, plan, actor=actor, reason=evidence)


@participant
def _succeed(
    step: unknown.Unknown,
    result: Mapping[str, Any],
    evidence: str,
    receipt: NewReceipt | None = None,
) -> None:
    _settle_happened(step, result, evidence, receipt)
    _go_on(step, [])


@participant
def _settle_happened(
    step: unknown.Unknown,
    result: Mapping[str, Any],
    evidence: str,
    receipt: NewReceipt | None = None,
) -> None:
    unknown.settle(
        step.step_id,
        state="succeeded",
        disposition=Disposition.EXECUTED,
        result=result,
        error_class="",
        error="",
    )
    proof = NewReceipt(
        step.step_id,
        step.run_id,
        step.key,
        provider_ref="",
        response_digest=digest(result["content"], purpose=PROOF_PURPOSE),
        evidence=evidence,
    )
    journal.add_receipt(receipt or proof)


@participant
def _go_on(step: unknown.Unknown, notes: list[str]) -> None:
    """Carry the run on from the step that is known now, or its undoing from the undoing that is
    known now. One that was cancelled stays so. The agent is told how people edited the step."""
    if undoing.resume(step.run_id, actor=TOWER):
        return
    if not unknown.reopen_run(step.run_id, "running"):
        return
    carried = course.load([step.run_id])
    run = carried[step.run_id].run
    told = [*edits_told([step.step_id]).values(), *notes]
    path = course.advance_runs(carried.values(), notes={run.pk: told})
    moved = journal.update_runs(list(path.runs.values()))
    journal.add_messages([m for m in path.messages if m.run_id in moved])
    results.keep([r for r in path.results if r.run_id in moved])
    journal.add_steps([s for s in path.steps if s.run_id in moved], owner="", lease_s=None)
    row = path.runs[run.pk]
    fact = {"outcome": row.outcome, "step": step.seq}
    record_many([Fact(f"run.{row.state}", TOWER, "run", str(run.pk), run.pk, fact)])
    after_commit(partial(dispatch.ring, step.lane))


@participant
def _find(
    step: unknown.Unknown,
    round_number: int,
    word: str,
    *,
    evidence: str,
    person: Any = None,
    settled: bool = False,
    finding_id: UUID | None = None,
) -> Finding:
    return Finding.objects.create(
        id=finding_id or new_id(),
        step_id=step.step_id,
        run_id=step.run_id,
        round=round_number,
        person=person,
        word=str(word),
        evidence=evidence,
        settled=settled,
    )


def _fact(kind: str, step: unknown.Unknown, actor: Actor, word: str, finding: Finding) -> Fact:
    payload = {
        "seq": step.seq,
        "tool": step.tool_name,
        "word": str(word),
        "finding": str(finding.pk),
    }
    return Fact(kind, actor, "step", str(step.step_id), step.run_id, payload)


# --- the tool -------------------------------------------------------------------------------------


def look_up(step_id: UUID, *, person: Any) -> Looked:
    """Ask the tool whether this step's key was carried out. Found settles the step; everything
    else is kept as evidence. The network is waited for outside any transaction."""
    if not person.may("runs.reconcile"):
        raise NotPermittedError("Only operators may look a lost call up.")
    found = known.targets([step_id])
    if not found:
        raise ConflictError("This step isn't unknown any more, or its tool has no look-up.")
    [(target, result)] = _ask(found, LOOK_UP_TIMEOUT_S)
    return _note(target, result, person=person)


def look_up_due(*, limit: int = 20) -> int:
    """Look up unknown steps by ourselves, each more and more seldom and ``MOST_LOOK_UPS`` times at
    most; returns how many turned out to have happened. An answer that comes late closes its step
    this way. What goes wrong with one step is no matter to the others."""
    ids = _take_due(limit)
    targets = [t for step_id in ids for t in _apart(partial(known.targets, [step_id])) or ()]
    looked = [
        _apart(partial(_note, target, result, person=None))
        for target, result in _ask(targets, SWEEP_TIMEOUT_S)
    ]
    return looked.count(Looked.FOUND)


def _apart(func: Callable[[], T]) -> T | None:
    """Do something for one of several steps: that it fails is told, and is that step's alone."""
    try:
        return func()
    except Exception as error:
        if not is_of_a_row(error):
            raise
        logger.exception("an unknown step could not be looked up")
        return None


@command
def _take_due(limit: int) -> list[UUID]:
    versions = known.versions_to_look_up()
    return unknown.take_for_look_up(versions, limit=limit) if versions else []


def _ask(
    targets: Sequence[known.Target], timeout_s: float
) -> list[tuple[known.Target, CallResult]]:
    """All of them at once, each with its own time limit."""
    if not targets:
        return []

    async def ask_all() -> list[CallResult]:
        async with ToolClient() as tools:
            return await asyncio.gather(*(_ask_one(tools, t, timeout_s) for t in targets))

    return list(zip(targets, asyncio.run(ask_all()), strict=True))


async def _ask_one(tools: ToolClient, target: known.Target, timeout_s: float) -> CallResult:
    try:
        return await tools.call(
            target.server,
            target.look_up,
            {"idempotency_key": target.key},
            meta={**target.context, "run": str(target.run_id)},
            call_id=f"look-up-{target.step_id}",
            timeout_s=timeout_s,
            hidden=target.hidden,
        )
    except (
        Exception
    ) as error:  # nothing was learnt about this one; the others are asked all the same
        logger.exception("step %s could not be looked up", target.step_id)
        return CallResult(Ending.LOST, error_class="engine", error=trouble.words(error))


def _note(target: known.Target, result: CallResult, *, person: Any) -> Looked:
    answer = result.document if result.ending is Ending.ANSWERED else None
    looked = read_answer(answer, tool=target.tool, arguments=target.arguments)
    if looked is not Looked.FOUND and person is None:
        said = result.error if looked is Looked.SILENT else ""
        command(unknown.note_look_up)(target.step_id, target.round, str(looked), said)
        return looked
    _write_down(target, looked, result, person)
    return looked


@command
def _write_down(target: known.Target, looked: Looked, result: CallResult, person: Any) -> None:
    """Keep what the tool said. Somebody else may have resolved the step while it was asked: the
    sweep then says nothing, a person gets the conflict."""
    if person is None:
        step = unknown.lock(target.step_id, target.round)
        if step is None:
            return
    else:
        step = _lock(target.step_id, target.round)
    redaction.keep([target.hidden])
    said = result.error if looked is Looked.SILENT else result.content
    settles = looked is Looked.FOUND
    finding = _find(
        step, target.round, looked, evidence=said[:2000], person=person, settled=settles
    )
    if settles:
        content, data = stored_answer(result.document.get("result"))
        _succeed(step, {"content": content, "data": data}, Proof.LOOKUP)
    kind = "step.reconciled" if settles else "step.finding"
    record_many([_fact(kind, step, person.actor if person else SWEEPER, looked, finding)])


@participant
def close_late(steps: Sequence[Settled]) -> None:
    """Answers that come after their worker was given up: a step that is unknown since exactly
    that attempt is closed by it. Any other is dropped; its new owner speaks for it."""
    for late in steps:
        if not late.receipt or late.result is None or not late.work.mutates:
            continue
        round_number = late.work.attempts_made + 1
        step = unknown.lock(late.work.step_id, round_number)
        if step is not None:
            finding = _find(step, round_number, Looked.LATE, evidence="", settled=True)
            _succeed(step, late.result, Proof.ANSWER, late.receipt)
            bodies.keep([late.bodies])
            record_many([_fact("step.reconciled", step, TOWER, Looked.LATE, finding)])
