"""What comes in and what goes out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from apps.calls.domain.context import problem
from apps.outcomes.domain.counting import CountsAs
from apps.policy.domain.decision import Answer
from apps.runs.domain.origin import Origin
from apps.runs.domain.results import Disposition, Proof, RunOutcome, RunSource

Text = Annotated[str, StringConstraints(max_length=20_000)]
Word = Annotated[str, StringConstraints(max_length=80)]


def one_of(words: type[StrEnum]) -> Any:
    """A text that is one of an enum's words. Told, not enforced: later releases may say more."""
    said = ", ".join(f"`{word.value}`" for word in words)
    return Field(description=f"Empty, or one of {said}. More may come.")


class Strict(Schema):
    """Unknown members are an error: one that is silently ignored is a mistake nobody sees."""

    model_config = ConfigDict(extra="forbid")


class MessageIn(Strict):
    """Something said before the agent takes over."""

    role: Literal["customer", "agent"]
    content: Text


class CallIn(Strict):
    tool: Word
    args: dict[str, Any] = {}


class ScriptItemIn(Strict):
    """One thing a scripted agent does: exactly one member. By ``result`` it gives what the run
    comes to, any JSON value; the last one counts and has to fit the contract's output schema."""

    say: Text | None = None
    hear: Text | None = None
    call: CallIn | None = None
    result: Any = None
    done: Text | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> ScriptItemIn:
        given = self.model_dump(exclude_unset=True)
        if len(given) != 1 or (None in given.values() and "result" not in given):
            raise ValueError("exactly one of say, hear, call, result and done is needed")
        return self


class RunIn(Strict):
    """A run to start. ``input`` is checked against the input schema of the job's contract. With a
    ``script`` an agent that follows it works on the run, and the run says so everywhere; without
    one the live model does. ``context`` is told to the job's tool servers."""

    job: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    input: dict[str, Any] = {}
    customer: Annotated[str, StringConstraints(max_length=120)] = ""
    reference: Annotated[str, StringConstraints(max_length=200)] = ""
    messages: Annotated[list[MessageIn], Field(max_length=200)] = []
    script: Annotated[list[ScriptItemIn], Field(max_length=500)] | None = None
    context: dict[str, str] = {}
    batch: bool = False

    @field_validator("context")
    @classmethod
    def _fits(cls, given: dict[str, str]) -> dict[str, str]:
        if wrong := problem(given):
            raise ValueError(wrong)
        return given


class CancelIn(Strict):
    """Why a run is cancelled: people read it."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]


class AgentOut(Schema):
    kind: str
    label: str


class RunOut(Schema):
    """A run. A run that is told to come later is ``accepted`` with ``deferred_until`` and why.
    ``counts_as`` says what it is to the numbers of its job."""

    id: UUID
    state: str
    outcome: Annotated[str, one_of(RunOutcome)]
    counts_as: CountsAs
    summary: str
    job: str
    contract: int
    agent: AgentOut
    customer: str
    reference: str
    source: Annotated[str, one_of(RunSource)]
    origin: Origin
    steps_total: int
    deferred_until: datetime | None
    reason: str
    error_class: str
    degraded: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime
    url: str
    links: dict[str, str]


class RunWithResultOut(RunOut):
    """A run and its ``result``: what the agent says came of it. It has the form of the contract's
    output schema, to the digit; whether it is true nobody has checked. ``has_result`` tells a
    result of ``null`` from none; only runs that succeeded have one."""

    has_result: bool
    result: Any


class NumbersOut(Schema):
    """What runs came to. ``finished`` are those that count, succeeded or failed; what was handed
    over, cancelled or is open is neither. ``success_share`` and its 95 % interval are of the
    finished ones, and not told of fewer than twenty."""

    runs: int
    finished: int
    succeeded: int
    failed: int
    handed_over: int
    cancelled: int
    open: int
    success_share: float | None
    interval: tuple[float, float] | None


class RunsOut(Schema):
    """A page, newest first. ``next`` is the address of the next one; empty at the end. ``numbers``,
    where they were asked for, are of all pages."""

    runs: list[RunOut]
    next: str
    numbers: NumbersOut | None = None


class StepOut(Schema):
    id: UUID
    seq: int
    kind: str
    tool: str
    effect: str
    state: str
    disposition: Annotated[str, one_of(Disposition)]
    gate: Annotated[str, one_of(Answer)]
    waits_for: str
    attempts: int
    arguments_digest: str
    idempotency_key: str
    error_class: str
    created_at: datetime
    finished_at: datetime | None


class StepsOut(Schema):
    run: UUID
    steps: list[StepOut]


class ReceiptOut(Schema):
    step: UUID
    seq: int
    tool: str
    idempotency_key: str
    provider_ref: str
    response_digest: str
    evidence: Annotated[str, one_of(Proof)]
    note: str
    received_at: datetime


class ReceiptsOut(Schema):
    run: UUID
    receipts: list[ReceiptOut]


class SubjectOut(Schema):
    type: str
    id: str


class EventOut(Schema):
    """What happened to what. ``seq`` is the event's place in the sealed audit log."""

    seq: int
    at: datetime
    kind: str
    subject: SubjectOut
    run: UUID | None


class EventsOut(Schema):
    """Events after ``after``, oldest first. Ask again with ``next_after``: at once while
    ``more``."""

    events: list[EventOut]
    next_after: int
    head: int
    more: bool


class WrongOut(Schema):
    field: str
    message: str
    fix: str


class ProblemOut(Schema):
    """RFC 9457. Branch on ``code``; show ``detail``."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    fix: str | None = None
    retry_after: int | None = None
    errors: list[WrongOut] | None = None
