"""The rows that the engine's statements take. A column is named here and in its model, nowhere
else: the statements are made of these fields (``kernel.statements``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

# Without slots: what has a dictionary is written as JSON four times as fast.


@dataclass
class NewStep:
    """A step to be inserted, as what is known of it by then: the gate may have been asked, its
    intent and its first attempt opened."""

    id: UUID
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
    lane: str
    priority: int
    ref: str = ""
    error_class: str = ""  # with ``error``: why nobody can carry out what was proposed
    error: str = ""
    gate: str = ""
    decision_id: UUID | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    preview: dict[str, Any] | None = None
    attempts_made: int = 0
    intent_open: bool = False
    compensates_id: UUID | None = None
    waits_for: str = ""
    wait_s: float | None = 0  # no column: when it is looked at again; None: when it is let go
    lease_token: int | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """The step that owns a change, of this run or of another branch of it. ``state``: a step whose
    undoing has begun is compensating, and compensated once it is undone."""

    step_id: UUID
    run_id: UUID
    seq: int
    state: str
    disposition: str
    result: Any
    idempotency: str
    attempts: int


# --- what is written about a step -----------------------------------------------------------------


@dataclass
class Gated:
    """What the gate answered about a step."""

    step_id: UUID
    lease_token: int
    gate: str
    decision_id: UUID | None
    facts: dict[str, Any]
    preview: dict[str, Any] | None


@dataclass
class AskedStep:
    """A step that waits until a person has answered."""

    step_id: UUID
    lease_token: int
    approval_id: UUID | None


@dataclass
class NewIntent:
    """A step that is to own its mutation. ``root_id``: of its run's lineage, where that is known
    already."""

    step_id: UUID
    key: str
    lease_token: int
    approval_id: UUID | None = None
    root_id: UUID | None = None


@dataclass
class NewAttempt:
    """A call that is about to be made."""

    id: UUID
    step_id: UUID
    run_id: UUID
    number: int
    lease_token: int
    worker: str


@dataclass
class EndedAttempt:
    """How a call ended."""

    id: UUID
    duration_ms: float | None
    outcome: str
    error_class: str
    error: str
    http_status: int | None


@dataclass
class NewReceipt:
    """The evidence of what a step did. ``note``: what was odd about the answer."""

    step_id: UUID
    run_id: UUID
    idempotency_key: str
    provider_ref: str
    response_digest: str
    evidence: str
    note: str = ""


@dataclass
class EndedStep:
    """A step that ended."""

    step_id: UUID
    lease_token: int
    state: str
    disposition: str
    result: Mapping[str, Any] | None
    error_class: str
    error: str
    deduplicated_from: UUID | None


@dataclass
class TakenStep:
    """A step that a branch takes over from another one."""

    old: UUID
    new: UUID
    disposition: str


@dataclass
class Retry:
    """A step that goes back to the queue for another try after ``delay_s``, and what its tool's
    budget pays for that. ``waits_for``: what it waits for beside the pause; ``cap_s``: the longest
    pause of its contract."""

    step_id: UUID
    lease_token: int
    delay_s: float
    error_class: str
    error: str
    tool: str
    cost: float
    cap_s: float
    waits_for: str = ""


# --- what is written about a run ------------------------------------------------------------------


@dataclass
class NewMessage:
    run_id: UUID
    seq: int
    role: str
    content: str


@dataclass
class GivenResult:
    """What a run that ends gave back."""

    run_id: UUID
    value: Any


@dataclass
class LongerScript:
    """What a live agent said, to be added to its run's script."""

    run_id: UUID
    more: Sequence[Mapping[str, Any]]


@dataclass
class TurnCost:
    """What a turn cost that came to nothing."""

    run_id: UUID
    tokens_in: int
    tokens_out: int
    cost_microusd: int | None


@dataclass
class MovedRun:
    """A run as it stands after a stretch of it, and what it cost meanwhile."""

    run_id: UUID
    state: str
    outcome: str
    error_class: str
    summary: str
    steps_total: int
    cursor: int
    has_violation: bool = False
    degraded: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None


@dataclass
class TakenIn:
    """A run as it is taken in, with its script. Its deadline is ``deadline_s`` from when the row is
    written, by the database's clock. ``begins_in_s``: of one that was deferred or shed, when it may
    begin or come again; ``is_over``: it ended on the spot."""

    id: UUID
    domain_slug: str
    job_slug: str
    contract_number: int
    contract_version_id: int
    agent_version_id: int
    agent_kind: str
    agent_label: str
    source: str
    origin: str
    case_ref: str
    customer: str
    request: str
    input: dict[str, Any]
    context: dict[str, str]
    state: str
    outcome: str
    error_class: str
    summary: str
    lane: str
    priority: int
    trace_id: UUID
    steps_total: int
    cursor: int
    tokens_in: int
    tokens_out: int
    cost_microusd: int | None
    criticality_class: int
    tenant: str
    engine_version: int
    admission_reason: str
    deadline_s: float
    items: Sequence[Mapping[str, Any]]
    begins_in_s: float | None = None
    is_over: bool = False
