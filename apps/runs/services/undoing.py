"""Undo what a run did, at a person's word.

The person sees what would be undone, with which arguments and what stays, and agrees to exactly
that: when it has changed meanwhile nothing begins. From then on the engine goes on by itself, one
undoing after the other, until all is undone or one of them needs a person again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.audit.services import Fact, record_many
from apps.calls.domain.context import told
from apps.calls.executor import ToolClient
from apps.calls.services import hiding
from apps.catalog.domain.sentence import render
from apps.catalog.selectors import pinned as catalog
from apps.kernel.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
)
from apps.kernel.ids import new_id
from apps.kernel.transactions import command
from apps.policy.selectors import risk_of
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain import undo
from apps.runs.domain.finding import FindingVerdict, is_agreed
from apps.runs.domain.states import UNDOABLE
from apps.runs.journal import tickets, undoing
from apps.runs.models import Finding, Run, Step
from apps.runs.selectors import undo_plans, unknown

LOOK_S = 4.0  # a person waits for it


@command
def undo_run(
    run_id: UUID, *, actor: Any, reason: str, plan_digest: str, ticket: UUID | None = None
) -> None:
    """Begin to undo a run. ``plan_digest`` is what the person saw; a plan that differs from it by
    now is a conflict (``plan_changed``), and so is a run whose steps aren't settled. One form's
    ``ticket`` begins it once: sent again it changes nothing and is no conflict."""
    _may(actor)
    _given(reason, "reason", "Say why: it is written to the audit log.")
    if not tickets.spend(ticket, use="undo", subject=run_id, actor=actor.actor):
        return
    run = _locked(run_id)
    plan = undo_plans.plan_of(run)
    _require_settled(run, plan)
    if plan.digest != plan_digest:
        raise ConflictError(
            "What would be undone has changed meanwhile. Nothing was begun: look at it again.",
            code="plan_changed",
        )
    undoing.begin(run, plan, actor=actor.actor, reason=reason.strip())


@command
def try_undoing_again(
    run_id: UUID, seq: int, *, actor: Any, reason: str, ticket: UUID | None = None
) -> None:
    """Try to undo once more what step ``seq`` failed to undo; once for one form's ``ticket``."""
    _may(actor)
    _given(reason, "reason", "Say why: it is written to the audit log.")
    if not tickets.spend(ticket, use=f"undo again {seq}", subject=run_id, actor=actor.actor):
        return
    run, item = _stopped(run_id, seq)
    undoing.again(run, item, actor=actor.actor, reason=reason.strip())


@command
def settle_failed_undoing(
    run_id: UUID,
    seq: int,
    *,
    verdict: FindingVerdict,
    evidence: str,
    person: Any,
    ticket: UUID | None = None,
) -> bool:
    """Say that what step ``seq`` failed to undo is undone by other means (``happened``) or stays
    as it is (``give_up``); the rest then goes on. Whether that settled it: from risk high on a
    second person has to say the same. One form's ``ticket`` says it once."""
    _may(person)
    _given(evidence, "evidence", "Say how you know, or why it may stay.")
    if verdict not in {FindingVerdict.HAPPENED, FindingVerdict.GIVE_UP}:
        raise InvalidInputError("Choose what you found out.", field="verdict")
    if not tickets.spend(ticket, use=f"settle {seq}", subject=run_id, actor=person.actor):
        return Finding.objects.get(pk=ticket).settled
    run, item = _stopped(run_id, seq)
    step = Step.objects.get(run_id=run_id, seq=seq)
    votes = [*unknown.votes_of(step.pk, step.attempts_made), (person.pk, verdict.value)]
    settles = is_agreed(votes, verdict, risk_of(step.pk))
    finding = Finding.objects.create(
        id=ticket or new_id(),
        step=step,
        run_id=run_id,
        round=step.attempts_made,
        person=person,
        word=verdict.value,
        evidence=evidence.strip(),
        settled=settles,
    )
    payload = {
        "seq": seq,
        "undoes": item.step.seq,
        "word": verdict.value,
        "finding": finding.pk.hex,
    }
    kind = "step.reconciled" if settles else "step.finding"
    record_many([Fact(kind, person.actor, "step", str(step.pk), run_id, payload)])
    if settles:
        undoing.resume(run.pk, actor=person.actor)
    return settles


def _may(person: Any) -> None:
    if not person.may("runs.undo"):
        raise NotPermittedError("Only operators may undo what a run did.")


def _given(words: str, field: str, message: str) -> None:
    if not words.strip():
        raise InvalidInputError(message, field=field)


def _locked(run_id: UUID) -> Run:
    run = undoing.lock(run_id)
    if run is None:
        raise NotFoundError("There is no such run.")
    return run


def _require_settled(run: Run, plan: undo.UndoPlan) -> None:
    if undo_plans.is_undoing(run) or run.state == "compensated":
        raise ConflictError("Somebody has begun to undo this run already; reload to see how far.")
    if run.state not in UNDOABLE:
        raise ConflictError("The run is still at work: cancel it first, then undo what it did.")
    if plan.unsettled:
        numbers = ", ".join(str(n) for n in plan.unsettled)
        raise ConflictError(f"First it has to be known what became of step {numbers}.")
    if not undo_plans.can_begin(run, plan):
        raise ConflictError("Nothing that this run did can be undone.")


def _stopped(run_id: UUID, seq: int) -> tuple[Run, undo.Item]:
    """The run, locked, and the effect whose undoing failed with step ``seq``."""
    run = _locked(run_id)
    item = undo_plans.plan_of(run).next
    stands = item is not None and item.by is not None and item.by.seq == seq
    if item is None or not stands or item.stage is not undo.Stage.FAILED:
        raise ConflictError(
            f"Step {seq} isn't waiting for this any more: reload to see how it stands."
        )
    return run, item


# --- before it begins -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be undone, in words. ``refusal`` is what the tool would say if it were asked
    now; ``silent``: the system of record was asked and gave no answer."""

    item: undo.Item
    sentence: str
    refusal: str = ""
    silent: bool = False


def foresee(run: Run, plan: undo.UndoPlan) -> list[Foreseen]:
    """Each effect that is still to be undone, in order, with its sentence. The system of record is
    asked what each undoing would change now, outside any transaction; where it doesn't answer in
    time the sentence has only what the arguments say."""
    items = [i for i in plan.items if i.stage is undo.Stage.TO_DO]
    asked = [_question(run, item) for item in items]
    hidden, answers = hiding.of_run(run), [None] * len(items)
    if any(asked):
        answers = asyncio.run(_ask_all(run, asked, hidden))
    return [
        _words(run, item, answer, asked=question is not None)
        for item, question, answer in zip(items, asked, answers, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Question:
    server: str
    preview: str
    item: undo.Item


def _question(run: Run, item: undo.Item) -> _Question | None:
    version = undo_plans.tool_of(run, item.tool)
    preview = version.document.get("preview") if version else None
    return _Question(catalog.tool_server(version.pk), str(preview), item) if preview else None


async def _ask_all(
    run: Run, asked: Sequence[_Question | None], hidden: Hidden | None
) -> list[dict[str, Any] | None]:
    async with ToolClient() as tools:
        return list(await asyncio.gather(*(_ask(tools, run, q, hidden) for q in asked)))


async def _ask(
    tools: ToolClient, run: Run, question: _Question | None, hidden: Hidden | None
) -> dict[str, Any] | None:
    if question is None:
        return None
    item = question.item
    result = await tools.call(
        question.server,
        question.preview,
        {"tool": item.tool, "args": dict(item.arguments)},
        meta={**told(run.context), "run": str(run.pk)},
        call_id=f"undo-{item.step.id}",
        timeout_s=LOOK_S,
        hidden=hidden,
    )
    return result.document if isinstance(result.document, dict) else None


def _words(run: Run, item: undo.Item, answer: dict[str, Any] | None, *, asked: bool) -> Foreseen:
    version = undo_plans.tool_of(run, item.tool)
    template = str((version.document.get("sentence") if version else "") or "")
    facts, silent = (answer or {}).get("facts") or {}, asked and answer is None
    refusal = str((answer or {}).get("refusal") or "")
    if not template or ("{facts." in template and not facts):
        return Foreseen(item, undo_plans.title_of(run, item.tool), refusal, silent)
    return Foreseen(item, render(template, item.arguments, facts), refusal, silent)
