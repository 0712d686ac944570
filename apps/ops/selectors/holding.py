"""What a person who decides about a held step has to know of its run: whether an approval would
wait, what it cost so far, what was read before, and where each argument comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.calls.services import hiding
from apps.catalog.selectors.pinned import tool_document
from apps.kernel.errors import NotFoundError
from apps.ops.domain import arguments
from apps.ops.domain.arguments import ArgumentField
from apps.ops.domain.sources import ArgumentSource, SeenAt, sources, texts_of
from apps.ops.models import ObjectReference
from apps.ops.selectors import answers
from apps.ops.selectors.objects import named_by
from apps.ops.selectors.runs import run_cost
from apps.oversight import selectors as oversight
from apps.oversight.domain.editing import changed_names
from apps.oversight.models import Approval, Edit
from apps.oversight.selectors import edits
from apps.policy.domain.effects import Effect
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.barrier import Barriers, Block, Shut, StopInForce, StopScope, blocked
from apps.runs.models import Breaker, Message, Run, Step, Stop

MOST_READS = 8
READ_CHARACTERS = 4_000
WHO = {"customer": "customer", "agent": "agent"}


@dataclass(frozen=True, slots=True)
class EarlierRead:
    """An earlier step that read something, and its answer."""

    step: Step
    text: str
    is_cut: bool


@dataclass(frozen=True, slots=True)
class HeldStep:
    """A held step and its run. ``block``: what would keep it from being carried out although it
    were approved now."""

    run: Run
    step: Step
    block: Block | None
    reads: Sequence[EarlierRead]
    sources: Sequence[ArgumentSource]
    named: Sequence[ObjectReference]
    now: datetime

    @property
    def hides(self) -> UUID | None:
        """Under which run the values lie that its contract hides, if it hides any."""
        return (self.run.root_id or self.run.id) if hiding.names_of(self.run) else None

    @property
    def age(self) -> timedelta:
        return self.now - (self.run.started_at or self.run.created_at)

    @property
    def cost(self) -> str:
        return run_cost(self.run)


def held_step(approval_id: UUID) -> HeldStep:
    """The step that an approval is asked for, with all that. Raises NotFoundError."""
    approval = oversight.one(approval_id)
    found = Step.objects.select_related("run")
    step = found.filter(pk=approval.step_id).first() if approval else None
    if approval is None or step is None:
        raise NotFoundError("There is no such step.")
    before = Step.objects.filter(run_id=step.run_id, seq__lt=step.seq, kind="tool").order_by("seq")
    read = [s for s in before if s.effect == Effect.READ and s.result is not None]
    said = Message.objects.filter(run_id=step.run_id, seq__lte=step.after_message).order_by("seq")
    return HeldStep(
        run=step.run,
        step=step,
        block=_block(step, approval.agent_slug),
        reads=[_read(s) for s in read[-MOST_READS:]],
        sources=sources(
            approval.arguments, [*_places(list(said), read), *map(_typed, edits.edits_of(approval))]
        ),
        named=named_by(step.run_id, step.pk),
        now=timezone.now(),
    )


@dataclass(frozen=True, slots=True)
class HeldCall:
    """A question and what its call can be edited by: the arguments, and the tool's schema of the
    version that the step pins. One ``is_undoing`` isn't edited."""

    approval: Approval
    arguments: Mapping[str, Any]
    schema: Any
    is_undoing: bool
    hidden: Hidden | None = None

    def judged(
        self, found: Mapping[str, Any], fields: Sequence[ArgumentField]
    ) -> tuple[list[ArgumentField], list[str]]:
        """``domain.arguments.judged`` of what is really meant, said without hidden values."""
        if (hidden := self.hidden) is None:
            return arguments.judged(self.schema, found, fields)
        hidden.learn(found)
        told, others = arguments.judged(self.schema, hidden.meant(found), fields)
        masked = [replace(field, error=hidden.message(field.error)) for field in told]
        return masked, [hidden.message(words) for words in others]


def held_call(approval_id: UUID) -> HeldCall:
    """The call that an approval is asked for. Raises NotFoundError."""
    approval = oversight.one(approval_id)
    steps = Step.objects.select_related("run")
    step = steps.filter(pk=approval.step_id).first() if approval else None
    if approval is None or step is None:
        raise NotFoundError("There is no such step.")
    version = step.tool_version_id
    schema = tool_document(version).get("input_schema") if version else None
    found = approval.arguments if isinstance(approval.arguments, dict) else {}
    return HeldCall(approval, found, schema, bool(step.compensates_id), hiding.of_run(step.run))


def _read(step: Step) -> EarlierRead:
    result = step.result
    only = result.get("text") if isinstance(result, Mapping) and len(result) == 1 else None
    found = answers.shown(step)
    text = only if isinstance(only, str) else found.text if found else ""
    return EarlierRead(step, text[:READ_CHARACTERS], len(text) > READ_CHARACTERS)


def _places(said: Sequence[Message], read: Sequence[Step]) -> list[SeenAt]:
    """What was said and read, the oldest first; at one moment, what was read after what was
    said."""
    keyed = [((m.seq, 0, 0), SeenAt(f"{_who(m)}, message {m.seq}", (m.content,))) for m in said]
    keyed += [
        ((s.after_message, 1, s.seq), SeenAt(f"read by {s.tool_name}", texts_of(s.result), s.seq))
        for s in read
    ]
    return [place for _, place in sorted(keyed, key=lambda pair: pair[0])]


def _typed(edit: Edit) -> SeenAt:
    """What a person typed who edited the call."""
    texts = texts_of({n: edit.after.get(n) for n in changed_names(edit.before, edit.after)})
    return SeenAt(f"typed by {edit.by.display_name}, who edited it", texts)


def _who(message: Message) -> str:
    return WHO.get(message.role, "Control Tower")


def _block(step: Step, agent: str) -> Block | None:
    run, tool = step.run, f"{step.run.domain_slug}/{step.tool_name}"
    stops = Stop.objects.filter(lifted_at=None).order_by("pk")
    shut = Breaker.objects.filter(tool_name=tool).exclude(state="closed")
    barriers = Barriers(
        shut={tool: [Shut(b.tool_name, b.host, _opens_in(b)) for b in shut]},
        stops=[StopInForce(s.pk, StopScope(s.scope), s.target, s.percent) for s in stops],
        paused=frozenset([run.pk] if run.paused_at else []),
    )
    return blocked(
        barriers,
        tool=tool,
        agent=agent,
        job=run.job_slug,
        is_undoing=bool(step.compensates_id),
        run_id=run.pk,
    )


def _opens_in(breaker: Breaker) -> float | None:
    if breaker.state == "half_open":
        return 0.0
    if breaker.manual or breaker.open_until is None:
        return None
    return (breaker.open_until - timezone.now()).total_seconds()
