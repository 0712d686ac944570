"""A contract: what a job promises and the bounds within which an agent may do it.

``parse`` reports everything that is wrong at once; the frozen ``Contract`` it returns has every
default filled in and is what the engine, the gate and the pages read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.catalog.domain.contract_checks import CheckContext, cross_problems
from apps.catalog.domain.contract_schema import CONTRACT, DEADLINE_S
from apps.catalog.domain.structure import read_problems
from apps.kernel.documents import Problem, load

NO_RATE = 1_000_000  # calls a minute: as many as a document can say, and as good as no bound


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` counts the first try; times are seconds."""

    attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Compensation:
    """What undoes a tool's effect: another call, its arguments read off the undone step. Without
    ``arguments`` the undoing tool gets the undone step's own."""

    tool: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.tool


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool of the contract and how hard it may be used."""

    name: str
    timeout_s: float = 15.0
    retry: RetryPolicy = RetryPolicy()
    concurrency: int = 16
    rate_per_minute: int = NO_RATE
    repeatable: bool = False
    errors: str = "refused"  # what the tool's own error says: refused (nothing done) | unknown
    compensation: Compensation | None = None


@dataclass(frozen=True, slots=True)
class OutcomeTerms:
    """What a run has to reach. A run in which a tool of ``hand_over`` was carried out, and none of
    ``when_any_of``, was properly handed to a person: neither a success nor a failure."""

    success: str = "resolved"
    when_any_of: tuple[str, ...] = ()
    hand_over: tuple[str, ...] = ()
    target: float = 0.9


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """Who works on the job. ``timeout_s`` bounds one turn of a live model; the models of the
    ``fallbacks`` are asked, in order, when the one before fails, and instead of it once the share
    ``fallback_at`` of the run's latency, cost or tokens is used."""

    slug: str
    fallbacks: tuple[str, ...] = ()
    timeout_s: float = 60.0
    fallback_at: float = 0.8


@dataclass(frozen=True, slots=True)
class Limits:
    deadline_s: int = DEADLINE_S
    steps: int = 60
    tokens: int = 200_000
    cost_usd: float = 2.0


@dataclass(frozen=True, slots=True)
class Slo:
    latency_p95_s: float = 120.0
    latency_budget_s: float = 300.0


@dataclass(frozen=True, slots=True)
class EscalationRung:
    at: float
    to: str


@dataclass(frozen=True, slots=True)
class Decisions:
    policy: str
    votes: int = 1
    window_s: int = 14400
    escalation: tuple[EscalationRung, ...] = ()
    on_timeout: str = "reject"
    undo_s: int = 10  # in which an approval from a page can be taken back before it is used
    approve_reasons: tuple[str, ...] = ()
    reject_reasons: tuple[str, ...] = ()

    def asked(self) -> dict[str, Any]:
        """What a question keeps of these terms, frozen when it is asked."""
        return {
            "window_s": self.window_s,
            "on_timeout": self.on_timeout,
            "ladder": [{"at": rung.at, "to": rung.to} for rung in self.escalation],
            "undo_s": self.undo_s,
            "reasons": {
                "approve": list(self.approve_reasons),
                "reject": list(self.reject_reasons),
            },
        }


@dataclass(frozen=True, slots=True)
class DataNeeds:
    contracts: tuple[str, ...] = ()
    freshness_s: int = 0
    classification: str = "internal"
    redact: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureMode:
    name: str
    sign: str = ""
    response: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    job: str
    name: str
    owner: str
    purpose: str
    outcome: OutcomeTerms
    agent: AgentChoice
    tools: tuple[ToolUse, ...]
    decisions: Decisions
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    slo: Slo = Slo()
    data: DataNeeds = DataNeeds()
    lane: str = "normal"
    priority: int = 50
    criticality: str = "normal"
    signals: Mapping[str, str] = field(default_factory=dict)
    failure_modes: tuple[FailureMode, ...] = ()
    runbook: str = ""

    def tool(self, name: str) -> ToolUse | None:
        """The contract's terms for a tool, or None when the contract doesn't list it."""
        return next((t for t in self.tools if t.name == name), None)

    @property
    def tool_names(self) -> tuple[str, ...]:
        return tuple(t.name for t in self.tools)

    def as_document(self) -> dict[str, Any]:
        """The same as JSON, every default filled in: what two versions are compared by."""
        plain = _listed(asdict(self))
        assert isinstance(plain, dict)  # noqa: S101  # a dataclass is a mapping
        return plain


@dataclass(frozen=True, slots=True)
class Parsed:
    """``contract`` and ``document`` are None when any problem is an error."""

    problems: tuple[Problem, ...]
    contract: Contract | None = None
    document: dict[str, Any] | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.is_error)


def parse(text: str, known: CheckContext | None = None) -> Parsed:
    """Read a contract; all that is wrong at once, in the order of the text. Never raises."""
    source = load(text)
    if source.value is None:
        return Parsed(tuple(source.problems))
    problems = read_problems(source, CONTRACT)
    if isinstance(source.value, dict):
        problems += cross_problems(source, known or CheckContext())
    problems.sort(key=lambda p: (p.line, p.column))
    if any(p.is_error for p in problems):
        return Parsed(tuple(problems))
    return Parsed(tuple(problems), build(source.value), source.value)


def build(document: Mapping[str, Any]) -> Contract:
    """The dataclass of a document that ``parse`` accepted (or that was published)."""
    d = document
    decisions = _tupled(d["decisions"])
    decisions["escalation"] = tuple(EscalationRung(**e) for e in decisions.get("escalation") or ())
    agent = d["agent"]
    return Contract(
        job=d["job"],
        name=d["name"],
        owner=d["owner"],
        purpose=d["purpose"].strip(),
        outcome=OutcomeTerms(**_tupled(d["outcome"])),
        agent=AgentChoice(
            agent["slug"],
            tuple(agent.get("fallbacks") or ()),
            agent.get("timeout_s", 60.0),
            agent.get("fallback_at", 0.8),
        ),
        tools=tuple(_tool_use(t) for t in d["tools"]),
        decisions=Decisions(**decisions),
        input=d.get("input") or {},
        output=d.get("output") or {},
        limits=Limits(**(d.get("limits") or {})),
        slo=Slo(**(d.get("slo") or {})),
        data=DataNeeds(**_tupled(d.get("data") or {})),
        lane=d.get("lane", "normal"),
        priority=int(d.get("priority", 50)),
        criticality=d.get("criticality", "normal"),
        signals=d.get("signals") or {},
        failure_modes=tuple(FailureMode(**f) for f in d.get("failure_modes") or ()),
        runbook=d.get("runbook") or "",
    )


def _tool_use(entry: Mapping[str, Any]) -> ToolUse:
    known = {
        "retry": RetryPolicy(**(entry.get("retry") or {})),
        "compensation": _compensation(entry.get("compensation")),
    }
    return ToolUse(**{**entry, **known})


def compensations(document: Mapping[str, Any]) -> dict[str, Compensation]:
    """What undoes each tool of a published contract, by the tool's name; only those that have
    something."""
    found = {t["name"]: _compensation(t.get("compensation")) for t in document.get("tools") or ()}
    return {name: undo for name, undo in found.items() if undo}


def _compensation(entry: str | Mapping[str, Any] | None) -> Compensation | None:
    if not entry:
        return None
    if isinstance(entry, str):
        return Compensation(entry)
    return Compensation(entry["tool"], dict(entry.get("arguments") or {}))


def _tupled(group: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in group.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, (list, tuple)) else value
