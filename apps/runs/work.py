"""What passes between the loop and its transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.calls.domain.plan import Later
from apps.calls.domain.turn import Question, Thought
from apps.calls.executor import CallResult
from apps.evidence.domain.evidence import PastStep
from apps.policy.domain.effects import MUTATING
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.rows import EndedAttempt, EndedStep, NewReceipt, NewStep
from apps.runs.models import Run


@dataclass(slots=True)
class Claimed:
    """A step that this worker holds under a lease, with what its run pins. A claim reads the fields
    without a default, each from the column of its name (``journal.claiming``)."""

    step_id: UUID
    run_id: UUID
    seq: int
    after_message: int
    kind: str
    tool_version_id: int | None
    tool_name: str
    effect: str
    idempotency: str
    arguments: dict[str, Any]
    arguments_digest: str
    idempotency_key: str
    attempts_made: int
    approval_id: UUID | None
    intent_open: bool
    lane: str
    priority: int
    lease_token: int
    contract_version_id: int
    agent_version_id: int
    agent_kind: str
    agent_label: str
    domain_slug: str
    job_slug: str
    contract_number: int
    customer: str
    context: Mapping[str, str]
    deadline_at: datetime
    steps_total: int
    unreadable: str  # why nobody can carry out what was proposed
    follows: UUID | None = None  # the step that stands for this one, while it isn't committed
    preview: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    pending: NewStep | None = None  # the row, while the step is not inserted yet
    hidden: Hidden | None = None  # what its run hides, where it hides anything
    size: int = 0  # characters of its arguments, facts and preview, once it was looked at

    @property
    def mutates(self) -> bool:
        return self.effect in MUTATING


@dataclass(slots=True)
class Carried:
    """A run as the worker that holds its step knows it. Nobody else writes its script, its
    conversation or its steps meanwhile: they hold no lease. Its state may change (a person cancels
    it): whoever writes the run's row guards for that."""

    run: Run
    items: list[Mapping[str, Any]]  # of its script; the run says how far it has come
    messages: list[tuple[int, str, str]] = field(default_factory=list)  # seq, role, content
    steps: list[PastStep] = field(default_factory=list)
    hidden: Hidden | None = None

    @property
    def top(self) -> int:
        """The seq of the last message."""
        return self.messages[-1][0] if self.messages else 0


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask the system of record what the step would change, before the gate is asked."""

    work: Claimed
    server: str
    tool: str
    timeout_s: float
    later: Sequence[Later] = ()  # the changes behind it in its plan, to be looked at with it


@dataclass(frozen=True, slots=True)
class Call:
    """The step may run: intent and attempt are committed."""

    work: Claimed
    attempt_id: UUID
    number: int
    server: str
    timeout_s: float
    concurrency: int
    look_up: str = ""  # the tool that tells whether a key was carried out


@dataclass(frozen=True, slots=True)
class Think:
    """A live agent has to be asked for its next turn; the attempt is committed."""

    work: Claimed
    attempt_id: UUID
    number: int
    question: Question


Action = Inspect | Call | Think


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that ended."""

    action: Call | Think
    result: CallResult
    thought: Thought | None = None


@dataclass(slots=True)
class Settled:
    """A step that ended, with or without an attempt."""

    work: Claimed
    disposition: str
    state: str
    result: Mapping[str, Any] | None = None
    error_class: str = ""
    error: str = ""
    deduplicated_from: UUID | None = None
    inherited_from: UUID | None = None  # the step of another branch that did it
    thought: Thought | None = None
    attempt: EndedAttempt | None = None  # how it ended, if it was the last
    receipt: NewReceipt | None = None
    bodies: Mapping[str, bytes] = field(default_factory=dict)  # files of its answer, by SHA-256

    def row(self) -> EndedStep:
        return EndedStep(
            self.work.step_id,
            self.work.lease_token,
            self.state,
            self.disposition,
            self.result,
            self.error_class[:40],
            self.error[:4000],
            self.deduplicated_from,
        )
