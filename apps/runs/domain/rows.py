"""The rows that the engine's statements take. A column is named here and in its model, nowhere
else: the statements are made of these fields (``kernel.statements``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(slots=True)
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
