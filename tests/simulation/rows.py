"""Rows of the simulated database: what the engine's decisions read and write, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.calls.domain.admission import Class
from apps.calls.domain.retry import did_nothing
from apps.catalog.domain.contract import ToolUse
from apps.policy.domain.effects import MUTATING
from apps.runs.domain.results import AttemptOutcome
from apps.runs.domain.states import State

DOMAIN = "shop"
FOR_EVER = 1e12  # models.PARKED_UNTIL


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as catalogue, contract and policy know it."""

    name: str
    effect: str
    idempotency: str  # keyed | lookup | none
    policy: str  # permit | hold | deny
    risk: int
    votes: int
    preview: bool
    terms: ToolUse

    @property
    def full_name(self) -> str:
        return f"{DOMAIN}/{self.name}"


@dataclass(slots=True, eq=False)
class Run:
    """``runs_run``. Times are seconds since the world began."""

    id: UUID
    name: str
    job: str
    agent: str
    cls: Class
    items: list[dict[str, Any]]
    deadline_s: float
    deadline_at: float
    root_id: UUID
    state: State = State.QUEUED
    outcome: str = ""
    error_class: str = ""
    cursor: int = 0
    steps_total: int = 0
    said: int = 0
    priority: int = 50
    paused: bool = False
    deferred_until: float | None = None
    finished_at: float | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Step:
    """``runs_step``."""

    id: UUID
    name: str
    run: Run
    seq: int
    tool: Tool
    arguments: dict[str, Any]
    key: str
    priority: int
    state: State = State.QUEUED
    gate: str = ""
    approval_id: UUID | None = None
    attempts_made: int = 0
    losses: int = 0
    blame: int = 0
    not_before: float = 0.0
    waits_for: str = ""
    token: int | None = None
    lease_until: float = 0.0
    owner: str = ""
    intent_open: bool = False
    disposition: str = ""
    copied_from: UUID | None = None
    compensates: Step | None = None
    result: dict[str, Any] | None = None
    error_class: str = ""
    finished_at: float = 0.0
    word: str = ""  # what a person settled last about a failed undoing
    is_unknown: bool = False  # the last look told nothing of what it would change

    @property
    def mutates(self) -> bool:
        return self.tool.effect in MUTATING


@dataclass(slots=True, eq=False)
class Approval:
    """``approvals_approval`` with its votes."""

    id: UUID
    step: Step
    digest: str
    risk: int
    votes_required: int
    expires_at: float
    state: str = "pending"
    approved_by: tuple[int, ...] = ()
    reason: str = ""
    used: bool = False


@dataclass(slots=True, eq=False)
class Attempt:
    """``runs_attempt``."""

    step: Step
    number: int
    token: int
    outcome: str = ""  # empty while it is open
    http_status: int | None = None
    error_class: str = ""

    @property
    def did_nothing(self) -> bool:
        """Whether it ended, and so that it certainly caused nothing."""
        return bool(self.outcome) and did_nothing(self.http_status, self.error_class)

    @property
    def made_nothing(self) -> bool:
        """The same of one that wasn't to be tried again (``unsent._MADE_NOTHING``)."""
        return self.outcome == AttemptOutcome.FAILED or self.did_nothing


@dataclass(frozen=True, slots=True)
class Act:
    """What a worker has to do outside the database (``work.Action``): the step as it was claimed.
    ``number`` is 0 for a look at what the step would change."""

    step: Step
    token: int
    number: int
    told_nothing: bool = False  # of a look that has ended

    @property
    def looks(self) -> bool:
        return self.number == 0


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended (``executor.CallResult``)."""

    ending: Any  # domain.retry.Ending
    error_class: str = ""
    retry_after_s: float | None = None
    result: dict[str, Any] | None = None
    took_s: float = 0.0
    looked_up: bool = False

    @property
    def http_status(self) -> int | None:
        """Of an error class that was made of one."""
        word, _, status = self.error_class.partition("_")
        return int(status) if word == "http" else None


@dataclass(frozen=True, slots=True)
class Done:
    """An attempt that ended (``work.Finished``)."""

    act: Act
    reply: Reply
    withheld: bool = False


@dataclass(slots=True)
class End:
    """A step that ended (``work.Settled``)."""

    step: Step
    token: int
    disposition: str
    state: State = State.FAILED
    error_class: str = ""
    result: dict[str, Any] | None = None
    copied_from: UUID | None = None
    act: Act | None = None
    receipt: str = ""  # the evidence it is kept with
    outcome: str = ""  # of the attempt with which it ended
    reply: Reply | None = None  # the same
