"""One run with everything that belongs to it, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from apps.audit import selectors as log
from apps.catalog.selectors.pinned import look_up_tool
from apps.kernel.errors import NotFoundError
from apps.ops.selectors.answers import Shown, result_of, shown
from apps.ops.selectors.findings import OwnLookUps, findings_of, own_look_ups
from apps.ops.selectors.lineage import (
    Lineage,
    SourceStep,
    Undoing,
    lineage_of,
    origins,
    undone_since,
)
from apps.ops.selectors.runs import run_cost
from apps.ops.selectors.undoing import kin_of, nested
from apps.oversight.domain.editing import differences
from apps.oversight.domain.showing import ValueChange
from apps.oversight.models import Approval, Edit
from apps.oversight.selectors.edits import edits_of_step
from apps.policy.models import Decision
from apps.runs.domain import undo
from apps.runs.domain.finding import people_needed
from apps.runs.domain.results import UNDONE, AttemptOutcome
from apps.runs.domain.states import TERMINAL
from apps.runs.domain.undo import Stage, UndoPlan
from apps.runs.models import Attempt, Finding, Message, Receipt, Run, RunResult, Step
from apps.runs.selectors import undo_plans

SHOWN_LOSSES = 50


@dataclass(slots=True)
class StepView:
    """A step with its attempts, decisions, approval and receipt."""

    step: Step
    attempts: list[Attempt] = field(default_factory=list)
    decisions: list[Any] = field(default_factory=list)
    approvals: list[Any] = field(default_factory=list)
    receipt: Receipt | None = None
    original: Step | None = None  # whose receipt answered it, if it was a repeat
    findings: list[Finding] = field(default_factory=list)
    undoes: Step | None = None
    undone_by: list[Step] = field(default_factory=list)

    @property
    def is_failed_undoing(self) -> bool:
        """Whether this is the undoing for whose failure its run waits for a person."""
        run = self.step.run
        if not self.step.compensates_id or run.error_class != undo.FAILED:
            return False
        item = undo_plans.plan_of(run).next
        return item is not None and item.by is not None and item.by.id == self.step.pk

    @property
    def undo_if_happened(self) -> UndoPlan | None:
        """What saying “it happened, undo it” about an unknown step would undo; ``None`` where
        that isn't offered."""
        step = self.step
        if step.state != "confirmation_unknown" or step.compensates_id:
            return None
        plan = undo_plans.plan_of(step.run, assume_happened=step.pk)
        can = undo_plans.can_begin(step.run, plan)
        mine = next((i for i in plan.items if i.step.id == step.pk), None)
        return plan if can and mine and mine.stage == "to_do" else None

    @property
    def origin(self) -> SourceStep | None:
        """The step of another branch that did it, if this one only inherited what it did."""
        origin = self.step.inherited_from
        return origins([self.step]).get(origin) if origin else None

    @property
    def undone_since(self) -> Undoing | None:
        """What undid it in the run that it was inherited from, if anything did."""
        mine = self.step
        return undone_since(mine.run, [mine]).get(mine.pk) if mine.inherited_from else None

    @property
    def ended_badly(self) -> bool:
        return self.step.disposition in UNDONE or self.step.state in {
            "failed",
            "confirmation_unknown",
        }

    @property
    def is_problem(self) -> bool:
        """Whether somebody who looks for trouble should stop here: it ended badly, or an attempt
        did."""
        return self.ended_badly or any(
            a.outcome not in {"", AttemptOutcome.OK} for a in self.attempts
        )

    @property
    def word(self) -> str:
        """What became of it, or where it stands."""
        return self.step.disposition or self.step.state

    @property
    def ended_at(self) -> datetime | None:
        return self.step.finished_at

    @property
    def lost_contact_at(self) -> datetime | None:
        """When the last attempt ended without an answer."""
        ends = [a.ended_at or a.started_at for a in self.attempts if a.outcome != AttemptOutcome.OK]
        return max(ends, default=None)

    @property
    def last_proof_at(self) -> datetime | None:
        """The last moment at which the tool's server was heard of in this step."""
        heard = [a.ended_at for a in self.attempts if a.http_status and a.ended_at]
        return max(heard, default=None)

    @property
    def risk(self) -> int:
        """The highest risk that policy saw in it."""
        return max((d.risk for d in self.decisions), default=1)

    @property
    def people_needed(self) -> int:
        """How many people have to say the same, should its answer be lost."""
        return people_needed(self.risk)

    @property
    def look_up(self) -> str:
        """The tool that tells whether its key was carried out; empty when nobody can be asked."""
        return look_up_tool(self.step.tool_version_id) if self.step.idempotency_key else ""

    @property
    def answer(self) -> Shown | None:
        """What came back, as a page shows it."""
        return shown(self.step)

    @property
    def edits(self) -> list[tuple[Edit, list[ValueChange]]]:
        """How people edited it before it was decided, each with what it changed."""
        found = edits_of_step(self.step.pk) if self.approvals else []
        return [(e, differences(e.before, e.after)) for e in found]

    @property
    def own_look_ups(self) -> OwnLookUps | None:
        """How far the tower's own look-ups have come, while nobody knows."""
        unknown = self.step.state == "confirmation_unknown" and self.look_up
        return own_look_ups(self.step) if unknown else None

    @property
    def can_try_again(self) -> bool:
        """Whether its run could still go on from it."""
        run = self.step.run
        in_time = run.deadline_at > timezone.now() or self.step.compensates_id is not None
        return run.state == "confirmation_unknown" and in_time

    @property
    def states(self) -> list[tuple[str, datetime]]:
        """The moments of its life, in order."""
        step = self.step
        last = self.approvals[-1] if self.approvals else None
        moments = [
            ("proposed", step.created_at),
            ("first claimed", step.started_at),
            (f"gate: {step.gate}" if step.gate else "gate", step.gated_at),
            ("waiting for a person", last.created_at if last else None),
            (last.state if last else "", last.decided_at if last else None),
            *((f"edited by {e.by.display_name}", e.at) for e, _ in self.edits),
            *((f"escalated to {e.words}", e.at) for a in self.approvals for e in _calls(a)),
            ("receipt", self.receipt.received_at if self.receipt else None),
            (self.word.replace("_", " "), step.finished_at),
            *((f"{f.who}: {f.words}", f.at) for f in self.findings),
        ]
        return sorted(((w, at) for w, at in moments if at), key=lambda pair: pair[1])


@dataclass(frozen=True, slots=True)
class Detail:
    """A run, its steps and its conversation."""

    run: Run
    steps: list[StepView]
    messages: list[Message]
    now: datetime

    @property
    def is_over(self) -> bool:
        return self.run.state in TERMINAL

    @property
    def plan(self) -> UndoPlan:
        """What undoing the run comes to, or how far it is."""
        words = {v.step.pk: f.word for v in self.steps for f in v.findings if f.settled}
        return undo_plans.plan_from(self.run, [v.step for v in self.steps], words)

    @property
    def is_undoing(self) -> bool:
        return undo_plans.is_undoing(self.run)

    @property
    def cancelled_by(self) -> str:
        """Who cancelled the run, as the audit log tells."""
        told = log.events_of("run", self.run.id)
        return next((e.actor for e in told if e.kind == "run.cancelled"), "")

    @property
    def stands(self) -> list[int]:
        """Steps that changed something and whose effect is still in place."""
        return [item.step.seq for item in self.plan.items if item.stage is not Stage.DONE][::-1]

    @property
    def ended_at(self) -> datetime:
        return self.run.finished_at or self.now

    @property
    def result(self) -> RunResult | None:
        """What the agent says came of the run, in the form that its contract asks for."""
        return result_of(self.run.id)

    @property
    def duration(self) -> timedelta:
        return self.ended_at - (self.run.started_at or self.run.created_at)

    @property
    def cost(self) -> str:
        return run_cost(self.run)

    @property
    def lineage(self) -> Lineage:
        return lineage_of(self.run)

    @property
    def undone_since(self) -> list[tuple[Step, Undoing]]:
        """Inherited changes that were undone afterwards where they had been made."""
        steps = [v.step for v in self.steps]
        undone = undone_since(self.run, steps)
        return [(s, undone[s.pk]) for s in steps if s.pk in undone]

    @property
    def problems(self) -> list[StepView]:
        return [s for s in self.steps if s.is_problem]

    @property
    def unknown(self) -> list[StepView]:
        return [s for s in self.steps if s.step.state == "confirmation_unknown"]

    @property
    def is_queued(self) -> bool:
        """Whether a step is due or parked: what it waits for may change without an event."""
        return any(s.step.state == "queued" for s in self.steps)

    @property
    def on_its_way(self) -> int:
        """Calls that had begun and are not recorded yet."""
        return sum(s.step.state == "running" for s in self.steps)

    @property
    def poison(self) -> list[StepView]:
        """Steps that took several workers with them."""
        mine = (s for s in self.steps if not s.step.compensates_id)
        return [s for s in mine if s.step.error_class == "poison"]

    @property
    def lost_workers(self) -> list[Any]:
        """When and with whom leases of the run were lost, as the audit log tells; oldest first."""
        told = log.LogFilter(kind="step.", run_id=self.run.id).rows()
        return list(told.filter(payload__has_key="losses").order_by("id")[:SHOWN_LOSSES])

    @property
    def waiting(self) -> list[StepView]:
        return [s for s in self.steps if s.step.state == "waiting_approval"]

    def step(self, seq: int) -> StepView | None:
        return next((s for s in self.steps if s.step.seq == seq), None)


def run_by_id(run_id: UUID) -> Run:
    """The run, or ``NotFoundError``."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError("There is no such run.")
    return run


def run_detail(run_id: UUID) -> Detail:
    """Everything about a run: eight queries, however many steps,
    and two more where somebody was asked."""
    run = run_by_id(run_id)
    steps = nested(list(Step.objects.filter(run_id=run_id).order_by("seq")))
    return Detail(run, _complete(run_id, steps), conversation(run_id), timezone.now())


def step_detail(run_id: UUID, seq: int) -> StepView:
    """One step with everything about it, or ``NotFoundError``."""
    step = Step.objects.select_related("run").filter(run_id=run_id, seq=seq).first()
    if step is None:
        raise NotFoundError("This run has no such step.")
    return _complete(run_id, [step], kin_of(step))[0]


def _complete(run_id: UUID, steps: list[Step], kin: Sequence[Step] | None = None) -> list[StepView]:
    kin = steps if kin is None else kin
    ids = [s.id for s in steps]
    attempts = _by_step(Attempt.objects.filter(step_id__in=ids).order_by("number"))
    decisions = _by_step(_decisions(ids))
    approvals = _by_step(_approvals(ids))
    receipts = {r.step_id: r for r in Receipt.objects.filter(step_id__in=ids)}
    originals = _originals(steps)
    findings = _by_step(findings_of(ids))
    return [
        StepView(
            step,
            attempts[step.id],
            decisions[step.id],
            approvals[step.id],
            receipts.get(step.id),
            originals.get(step.deduplicated_from) if step.deduplicated_from else None,
            findings[step.id],
            next((s for s in kin if s.id == step.compensates_id), None),
            [s for s in kin if s.compensates_id == step.id],
        )
        for step in steps
    ]


def _by_step(rows: Iterable[Any]) -> defaultdict[UUID, list[Any]]:
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.step_id].append(row)
    return found


def _originals(steps: list[Step]) -> dict[UUID, Step]:
    known = {s.id: s for s in steps}
    wanted = {s.deduplicated_from for s in steps if s.deduplicated_from} - known.keys()
    if wanted:
        known |= {s.id: s for s in Step.objects.filter(pk__in=wanted)}
    return known


def _decisions(step_ids: list[UUID]) -> Iterable[Any]:
    rows = Decision.objects.filter(step_id__in=step_ids)
    return rows.select_related("policy_version__policy_set").order_by("at", "id")


def _approvals(step_ids: list[UUID]) -> Iterable[Any]:
    rows = Approval.objects.filter(step_id__in=step_ids)
    rows = rows.select_related("decided_by", "claimed_by").prefetch_related("escalations__by")
    return rows.order_by("created_at", "id")


def _calls(approval: Any) -> Iterable[Any]:
    return approval.escalations.all()


# --- conversation ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConversationLine:
    """One line of a conversation: something said, or a step in between."""

    message: Message | None = None
    step: Step | None = None


def conversation(run_id: UUID) -> list[Message]:
    """What was said, in order."""
    return list(Message.objects.filter(run_id=run_id).order_by("seq"))


def interleave(messages: Iterable[Message], steps: Iterable[Step]) -> list[ConversationLine]:
    """Messages and steps in the order in which they happened."""
    keyed = [((m.seq, 0, 0), ConversationLine(message=m)) for m in messages]
    keyed += [((s.after_message, 1, s.seq), ConversationLine(step=s)) for s in steps]
    return [line for _, line in sorted(keyed, key=lambda pair: pair[0])]


def conversation_until(run_id: UUID, upto: int | None) -> list[ConversationLine]:
    """The conversation with its steps; with ``upto``, as it stood when that step was proposed."""
    steps = Step.objects.filter(run_id=run_id).order_by("seq")
    messages = Message.objects.filter(run_id=run_id)
    if upto is not None:
        steps = steps.filter(seq__lte=upto)
        last = steps.last()
        messages = messages.filter(seq__lte=last.after_message if last else 0)
    return interleave(messages.order_by("seq"), steps)


# --- export ---------------------------------------------------------------------------------------

_HIDDEN = frozenset({"binding", "signature"})


def as_document(detail: Detail) -> dict[str, Any]:
    """A run as plain values, for a file that can be read without this program."""
    return {
        "format": "control-tower.run.v1",
        "run": _values(detail.run),
        "result": _result(detail.result),
        "messages": [_values(m) for m in detail.messages],
        "steps": [
            {
                **_values(view.step),
                "attempts": [_values(a) for a in view.attempts],
                "decisions": [_values(d) for d in view.decisions],
                "approvals": [
                    {**_values(a), "escalations": [_values(e) for e in _calls(a)]}
                    for a in view.approvals
                ],
                "edits": [_values(edit) for edit, _ in view.edits],
                "findings": [_values(f) for f in view.findings],
                "receipt": _values(view.receipt) if view.receipt else None,
            }
            for view in sorted(detail.steps, key=lambda v: v.step.seq)
        ],
    }


def _result(given: RunResult | None) -> dict[str, Any] | None:
    """The agent's claim, in an object so that ``null`` is told from nothing."""
    return {"value": given.value, "at": given.at} if given else None


def _values(row: Any) -> dict[str, Any]:
    return {
        f.attname: getattr(row, f.attname)
        for f in row._meta.concrete_fields
        if f.attname not in _HIDDEN
    }


def find_run(text: str) -> UUID | None:
    """The run that a pasted run or trace id means."""
    try:
        return Run.objects.filter(Q(pk=UUID(text)) | Q(trace_id=UUID(text))).get().pk
    except (ValueError, Run.DoesNotExist, Run.MultipleObjectsReturned):
        return None
