"""How steps end, and the rows that say so. Plain functions from work and results to rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact
from apps.calls.domain import budget
from apps.calls.domain.context import told
from apps.calls.domain.envelope import clean
from apps.calls.domain.reply import BAD_RESULT
from apps.calls.domain.retry import ANSWERS, Ending, RetryVerdict
from apps.calls.executor import CallResult
from apps.evidence.domain.evidence import MAX_ANSWER, PastStep
from apps.kernel.canonical import digest
from apps.oversight.gate import GateDecision
from apps.oversight.services import edits_told
from apps.runs import journal
from apps.runs.domain import ends, forking
from apps.runs.domain.forking import Repeat
from apps.runs.domain.outcome import RunEnd
from apps.runs.domain.results import Disposition, Proof, RunOutcome
from apps.runs.domain.rows import (
    EndedAttempt,
    Gated,
    MovedRun,
    NewReceipt,
    NewStep,
    Owner,
    Retry,
    TurnCost,
)
from apps.runs.domain.states import State
from apps.runs.engine import asking
from apps.runs.journal import breakers, lost, unsent
from apps.runs.journal.claiming import UNREADABLE
from apps.runs.models import Run
from apps.runs.work import Call, Claimed, Finished, Settled

OURS = {
    "engine",
    "not_made",
    "unrecorded",
    "unsendable",
}  # error classes that are no fault of the tool's
NOTE_CHARS = 2000
RESPONSE_PURPOSE = "tower.response.v1"
NOTE_OF = {
    "rejected": "The proposal “{tool}” was rejected: {error}",
    "expired": "Nobody decided about “{tool}” in time, so it was not carried out.",
    "denied": "Policy denied “{tool}”: {error}",
}


def stuck(step: Settled) -> tuple[RunEnd, str] | None:
    """How a run stops that can't go on from this step, and its summary: nobody knows whether a
    mutation happened, or its agent can't be asked. ``None`` when the run goes on."""
    error_class = step.error_class[:40]
    if step.state == State.CONFIRMATION_UNKNOWN:
        return RunEnd(State.CONFIRMATION_UNKNOWN, "", error_class), ""
    if step.work.kind == "agent" and step.state == State.FAILED:
        summary = f"{_why_no_turn(error_class)}: {step.error}"[:500]
        return RunEnd(State.FAILED, RunOutcome.ERROR, error_class), summary
    return None


def _why_no_turn(error_class: str) -> str:
    if error_class == BAD_RESULT:
        return "The agent gave no result that fits its contract"
    return "The agent could not be asked"


def attempt_row(done: Finished, verdict: RetryVerdict) -> EndedAttempt:
    result, timed_out = done.result, done.result.error_class == "timeout"
    return EndedAttempt(
        done.action.attempt_id,
        result.duration_ms,
        ends.attempt_outcome(verdict, result.ending, timed_out=timed_out),
        result.error_class[:40],
        result.error[:2000],
        result.http_status,
    )


def requeue_row(done: Finished, delay_s: float) -> Retry:
    work, result = done.action.work, done.result
    return Retry(
        step_id=work.step_id,
        lease_token=work.lease_token,
        delay_s=delay_s,
        error_class=result.error_class[:40],
        error=result.error[:2000],
        tool=f"{work.domain_slug}/{work.tool_name}",
        cost=budget.cost(
            timed_out=result.error_class == "timeout",
            told_when=result.retry_after_s is not None,
        ),
        cap_s=asking.tool_terms(work).retry.cap_s,
    )


def spent_row(done: Finished) -> TurnCost:
    run_id, thought = done.action.work.run_id, done.thought
    if thought is None:
        return TurnCost(run_id, 0, 0, None)
    return TurnCost(run_id, thought.tokens_in, thought.tokens_out, thought.cost_microusd)


def is_spent(done: Finished, run: Run) -> bool:
    """Whether a turn that came to nothing used up what the contract allows of tokens: the model
    isn't asked again then."""
    thought = done.thought
    if thought is None or done.result.ending is Ending.ANSWERED:
        return False
    used = run.tokens_in + run.tokens_out + thought.tokens_in + thought.tokens_out
    return used >= asking.terms(done.action.work).limits.tokens


def succeeded(finished: Iterable[Finished]) -> Iterator[str]:
    """The tools of calls that went well: each earns its tool's retry budget something."""
    for done in finished:
        if done.result.ending in ANSWERS:
            yield f"{done.action.work.domain_slug}/{done.action.work.tool_name}"


def settled(done: Finished, verdict: RetryVerdict) -> Settled:
    work, result = done.action.work, done.result
    state, disposition = ends.of_attempt(verdict, result.ending)
    answered = disposition in {Disposition.EXECUTED, Disposition.REFUSED_BY_TOOL}
    return Settled(
        work=work,
        disposition=disposition,
        state=state,
        result=answer_row(result) if answered else None,
        error_class=result.error_class,
        error=result.error,
        thought=done.thought,
        attempt=attempt_row(done, verdict),
        receipt=receipt(done)
        if disposition is Disposition.EXECUTED and work.kind == "tool"
        else None,
        bodies={p.sha256: p.body for p in result.parts if p.body is not None} if answered else {},
    )


def answer_row(result: CallResult) -> dict[str, Any]:
    """An answer as it is kept with the step: what was told, its value, its pieces and what was odd
    about it."""
    row: dict[str, Any] = {"content": result.content, "data": result.data}
    if result.parts:
        row["parts"] = [part.row() for part in result.parts]
    if result.notes:
        row["notes"] = list(result.notes)
    return row


def receipt(done: Finished) -> NewReceipt:
    work, result = done.action.work, done.result
    evidence = Proof.REPLAYED if result.replayed else Proof.ANSWER
    said = result.content if result.digested is None else result.digested
    return NewReceipt(
        work.step_id,
        work.run_id,
        work.idempotency_key,
        clean(str(result.meta.get("effect_id", "")))[:120],
        digest(said, purpose=RESPONSE_PURPOSE),
        Proof.LOOKUP if result.looked_up else evidence,
        " ".join(result.notes)[:NOTE_CHARS],
    )


def end(work: Claimed, disposition: str, error_class: str, error: str) -> Settled:
    return Settled(work, disposition, State.FAILED.value, None, error_class, error)


def overdue(work: Claimed, now: datetime) -> Settled | None:
    if not ends.is_overdue(now, work.deadline_at, intent_open=work.intent_open):
        return None
    return end(work, Disposition.FAILED, "deadline", "The run's deadline has passed.")


def answered(work: Claimed, states: Mapping[UUID, Any]) -> Settled | None:
    """A step whose approval was rejected or expired ends here, with the person's words."""
    given = states.get(work.approval_id) if work.approval_id else None
    found = ends.by_approval(given.state, intent_open=work.intent_open) if given else None
    if given is None or found is None:
        return None
    expired = found is Disposition.EXPIRED
    said = given.reason or ("no decision in time" if expired else "no reason")
    return end(work, found, found, said)


def free_intents(kept: Sequence[Settled]) -> None:
    """In the transaction that ended these steps: changes that the tool refused, or that certainly
    never reached it, may be proposed again."""
    journal.free_intents([s.work.step_id for s in kept if ends.gives_up(s.disposition)])
    failed = (
        s.work.step_id
        for s in kept
        if ends.may_give_up(s.disposition, attempted=bool(s.attempt), mutates=s.work.mutates)
    )
    unsent.free(list(failed))


def repeated(work: Claimed, owner: Owner | None) -> Settled | None:
    """The end of a step whose change another one owns, if it isn't carried out all the same."""
    met = forking.repeat(owner, step_id=work.step_id, run_id=work.run_id)
    if owner is None or met in {Repeat.OURS, Repeat.AWAITED, Repeat.TAKEN_OVER}:
        return None
    if met is Repeat.CONFLICT:
        return end(work, Disposition.FAILED, "conflict", _conflict(work, owner))
    deduplicated = met is Repeat.DEDUPLICATED
    return Settled(
        work=work,
        disposition=Disposition.DEDUPLICATED if deduplicated else Disposition.INHERITED,
        state=State.SUCCEEDED.value,
        result=owner.result,
        deduplicated_from=owner.step_id if deduplicated else None,
        inherited_from=None if deduplicated else owner.step_id,
    )


def _conflict(work: Claimed, owner: Owner) -> str:
    if owner.run_id == work.run_id:
        return f"Step {owner.seq} already made this exact change."
    became, run = f"{owner.state.replace('_', ' ')} there", str(owner.run_id)[-8:]
    return f"Step {owner.seq} of run {run} already made this exact change and is {became}."


def malformed(work: Claimed) -> Settled | None:
    """Arguments that nobody can read, or that don't fit the tool's schema, never reach policy or
    the tool."""
    if work.unreadable:
        return end(work, "denied", UNREADABLE, work.unreadable)
    if work.kind != "tool" or work.intent_open:
        return None
    if work.tool_version_id is None and work.agent_kind == "model":
        known = ", ".join(asking.terms(work).tool_names)
        said = f"This job has no tool of that name. It has: {known}."
        return end(work, "denied", "unlisted", said)
    wrong = asking.schema_error(work)
    return end(work, "denied", "schema", wrong) if wrong else None


def is_denied(work: Claimed, answers: Mapping[UUID, GateDecision]) -> bool:
    return answers[work.step_id].answer == "deny"


def denied(work: Claimed, answer: GateDecision) -> Settled:
    reasons = [str(rule.get("reason") or rule.get("id")) for rule in answer.rules]
    said = "; ".join(reasons) or "no rule permits it"
    if answer.errors:
        said = f"{said} (the policy could not be evaluated)"
    return end(work, "denied", "policy", said)


def gate_row(work: Claimed, answer: GateDecision) -> Gated:
    return Gated(
        work.step_id,
        work.lease_token,
        answer.answer,
        answer.decision_id,
        work.facts,
        work.preview,
    )


def past(step: Settled) -> PastStep:
    """An ended step as the run's past. Only short answers are ever looked at again."""
    work, answer = step.work, (step.result or {}).get("content")
    short = answer if isinstance(answer, str) and len(answer) <= MAX_ANSWER else None
    return PastStep(work.seq, work.tool_name, work.effect, step.disposition, work.arguments, short)


def notes(ended: Sequence[Settled]) -> dict[UUID, list[str]]:
    edited = edits_told([s.work.step_id for s in ended if s.work.approval_id])
    notes: dict[UUID, list[str]] = defaultdict(list)
    for step in ended:
        if words := edited.get(step.work.step_id):
            notes[step.work.run_id].append(words)
        if template := NOTE_OF.get(step.disposition):
            text = template.format(tool=step.work.tool_name, error=step.error)
            notes[step.work.run_id].append(text)
    return notes


def pending_step(row: NewStep, run: Run, token: int, follows: UUID) -> Claimed:
    """A run's next step, held by this worker and not inserted yet."""
    row.lease_token = token
    return Claimed(
        step_id=row.id,
        run_id=run.id,
        seq=row.seq,
        after_message=row.after_message,
        kind=row.kind,
        tool_version_id=row.tool_version_id,
        tool_name=row.tool_name,
        effect=row.effect,
        idempotency=row.idempotency,
        arguments=row.arguments,
        arguments_digest=row.arguments_digest,
        idempotency_key=row.idempotency_key,
        attempts_made=0,
        approval_id=None,
        intent_open=False,
        lane=row.lane,
        priority=row.priority,
        lease_token=token,
        contract_version_id=run.contract_version_id,
        agent_version_id=run.agent_version_id,
        agent_kind=run.agent_kind,
        agent_label=run.agent_label,
        domain_slug=run.domain_slug,
        job_slug=run.job_slug,
        contract_number=run.contract_number,
        customer=run.customer,
        context=told(run.context),
        deadline_at=run.deadline_at,
        steps_total=row.seq,
        unreadable=row.error,
        follows=follows,
        pending=row,
    )


def step_fact(step: Settled, actor: Actor) -> Fact:
    work = step.work
    payload = {"seq": work.seq, "tool": work.tool_name, "disposition": step.disposition}
    return Fact(f"step.{step.state}", actor, "step", str(work.step_id), work.run_id, payload)


def held_fact(work: Claimed, actor: Actor) -> Fact:
    payload = {"step": work.seq, "tool": work.tool_name}
    return Fact("run.waiting_approval", actor, "run", str(work.run_id), work.run_id, payload)


def fenced_facts(late: Sequence[Claimed], actor: Actor) -> list[Fact]:
    """Calls that ended after their lease had been taken back, so that nothing of how they ended was
    written."""
    taken = lost.fenced([w.step_id for w in late], [w.lease_token for w in late]) if late else []
    return [
        Fact("step.fenced", actor, "step", str(step_id), run_id, {"token": token})
        for step_id, run_id, token in taken
    ]


def run_facts(
    rows: Mapping[UUID, MovedRun], runs: Mapping[UUID, Run], moved: set[UUID], actor: Actor
) -> list[Fact]:
    return [
        Fact(f"run.{row.state}", actor, "run", str(run_id), run_id, {"outcome": row.outcome})
        for run_id, row in rows.items()
        if run_id in moved and row.state != runs[run_id].state
    ]


def breaker_call(done: Finished) -> breakers.Call:
    """A call as the circuit breaker counts it: a refusal is an answer, not a failure."""
    work, result = done.action.work, done.result
    failed = result.ending not in ANSWERS and result.error_class not in OURS
    host = breakers.host_of(done.action.server) if isinstance(done.action, Call) else ""
    return f"{work.domain_slug}/{work.tool_name}", host, failed, result.error_class == "timeout"
