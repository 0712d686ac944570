"""A contract: what a job promises and the bounds within which an agent may do it.

``parse`` reports everything that is wrong at once; the frozen ``Contract`` it returns has every
default filled in and is what the engine, the gate and the pages read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.approvals.domain.ladder import CALLED
from apps.catalog.domain.contract_schema import CONTRACT
from apps.catalog.domain.structure import nearest, read_problems, schema_problems
from apps.catalog.domain.undoing import path_problem, reads_before
from apps.kernel.documents import Document, Path, Problem, load
from apps.kernel.ecma import PatternError
from apps.kernel.patterns import pattern

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
class Outcome:
    success: str = "resolved"
    when_any_of: tuple[str, ...] = ()
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
    deadline_s: int = 14400
    steps: int = 60
    tokens: int = 200_000
    cost_usd: float = 2.0


@dataclass(frozen=True, slots=True)
class Slo:
    latency_p95_s: float = 120.0
    latency_budget_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Escalation:
    at: float
    to: str


@dataclass(frozen=True, slots=True)
class Decisions:
    policy: str
    votes: int = 1
    window_s: int = 14400
    escalation: tuple[Escalation, ...] = ()
    on_timeout: str = "reject"


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
    outcome: Outcome
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
class Known:
    """What exists outside the document: None means "not known here", so it isn't checked."""

    tools: Mapping[str, str] | None = None  # name → effect class
    agents: frozenset[str] | None = None
    policies: frozenset[str] | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """``contract`` and ``document`` are None when any problem is an error."""

    problems: tuple[Problem, ...]
    contract: Contract | None = None
    document: dict[str, Any] | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.is_error)


def parse(text: str, known: Known | None = None) -> Parsed:
    """Read a contract; all that is wrong at once, in the order of the text. Never raises."""
    source = load(text)
    if source.value is None:
        return Parsed(tuple(source.problems))
    problems = read_problems(source, CONTRACT)
    if isinstance(source.value, dict):
        problems += _quietly(source, known or Known())
    problems.sort(key=lambda p: (p.line, p.column))
    if any(p.is_error for p in problems):
        return Parsed(tuple(problems))
    return Parsed(tuple(problems), build(source.value), source.value)


def build(document: Mapping[str, Any]) -> Contract:
    """The dataclass of a document that ``parse`` accepted (or that was published)."""
    d = document
    decisions = dict(d["decisions"])
    decisions["escalation"] = tuple(Escalation(**e) for e in decisions.get("escalation") or ())
    outcome = dict(d["outcome"])
    outcome["when_any_of"] = tuple(outcome.get("when_any_of") or ())
    agent = d["agent"]
    return Contract(
        job=d["job"],
        name=d["name"],
        owner=d["owner"],
        purpose=d["purpose"].strip(),
        outcome=Outcome(**outcome),
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


def _quietly(source: Document, known: Known) -> list[Problem]:
    """Cross-field checks on whatever part has the right shape; the rest was reported already."""
    out: list[Problem] = []
    for check in _CHECKS:
        out += check(source)
    return out + list(_outside(source, known))


def _at(value: Any, *path: str | int) -> Any:
    """The value at ``path``, or None where the document has another shape."""
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _texts(value: Any) -> list[tuple[int, str]]:
    if not isinstance(value, list):
        return []
    return [(i, v) for i, v in enumerate(value) if isinstance(v, str)]


def _listed_tools(source: Document) -> list[tuple[int, str]]:
    tools = _at(source.value, "tools")
    entries = enumerate(tools if isinstance(tools, list) else [])
    return [(i, n) for i, t in entries if isinstance(n := _at(t, "name"), str)]


def _tool_names(source: Document) -> list[Problem]:
    out: list[Problem] = []
    listed = _listed_tools(source)
    names = [name for _, name in listed]
    for order, (i, name) in enumerate(listed):
        if name in names[:order]:
            message = f"“{name}” is listed twice."
            out.append(source.problem(("tools", i, "name"), message, "Keep one entry."))
    return out


def _compensations(source: Document) -> list[Problem]:
    out: list[Problem] = []
    names = [name for _, name in _listed_tools(source)]
    for i, name in _listed_tools(source):
        at: Path = ("tools", i, "compensation")
        undo = _at(source.value, *at)
        if isinstance(undo, str):
            out += _undoing_tool(source, at, (name, undo), names, {})
        elif isinstance(undo, dict) and isinstance(undo.get("tool"), str):
            given = undo.get("arguments")
            given = given if isinstance(given, dict) else {}
            paths = {k: v for k, v in given.items() if isinstance(v, str)}
            out += _undoing_tool(source, (*at, "tool"), (name, undo["tool"]), names, paths)
            for argument, path in paths.items():
                if message := path_problem(path):
                    fix = "Such as “arguments.order_id” or “preview.before.users.*.address.zip”."
                    out.append(source.problem((*at, "arguments", argument), message, fix))
    return out


def _undoing_tool(
    source: Document,
    at: Path,
    pair: tuple[str, str],
    names: list[str],
    paths: Mapping[str, str],
) -> list[Problem]:
    name, undo = pair
    if undo == name and not reads_before(paths):
        message = f"“{name}” undoes itself with nothing that was known before it."
        fix = "Read at least one argument from “preview.before…”, or name another tool."
        return [source.problem(at, message, fix)]
    if undo in names:
        return []
    fix = nearest(undo, [n for n in names if n != name]) or "Add the tool to “tools”."
    message = f"“{name}” is undone by “{undo}”, which isn't listed."
    return [source.problem(at, message, fix)]


def _outcome(source: Document) -> list[Problem]:
    names = [name for _, name in _listed_tools(source)]
    return [
        source.problem(
            ("outcome", "when_any_of", i),
            f"“{name}” is not one of the contract's tools.",
            nearest(name, names) or "List it under “tools”, or leave it out.",
        )
        for i, name in _texts(_at(source.value, "outcome", "when_any_of"))
        if name not in names
    ]


def _retries(source: Document) -> list[Problem]:
    out = []
    for i, name in _listed_tools(source):
        retry = ("tools", i, "retry")
        base = _number(_at(source.value, *retry, "base_s"))
        cap = _number(_at(source.value, *retry, "cap_s"))
        if base is not None and cap is not None and base > cap:
            message = f"“{name}” waits at most {cap} s, less than its first wait of {base} s."
            out.append(source.problem((*retry, "cap_s"), message, f"Write {base} or more."))
    return out


def _times(source: Document) -> list[Problem]:
    out = []
    deadline = _number(_at(source.value, "limits", "deadline_s")) or Limits().deadline_s
    window = _number(_at(source.value, "decisions", "window_s"))
    if window is not None and window > deadline:
        message = f"A person has {window:g} s, but the run ends after {deadline:g} s."
        path: Path = ("decisions", "window_s")
        fix = "Shorten the window or raise limits.deadline_s."
        out.append(source.problem(path, message, fix, severity="warning"))
    elif window == deadline and _at(source.value, "decisions", "on_timeout") == "escalate":
        message = "The run ends with the window, so nothing is left to escalate into."
        fix = "Shorten the window, raise limits.deadline_s, or write “reject”."
        at: Path = ("decisions", "on_timeout")
        out.append(source.problem(at, message, fix, severity="warning"))
    p95 = _number(_at(source.value, "slo", "latency_p95_s"))
    budget = _number(_at(source.value, "slo", "latency_budget_s"))
    if p95 is not None and budget is not None and p95 > budget:
        message = f"The target of {p95:g} s is above the budget of {budget:g} s."
        out.append(source.problem(("slo", "latency_p95_s"), message, f"Write {budget:g} or less."))
    for i, name in _listed_tools(source):
        timeout = _number(_at(source.value, "tools", i, "timeout_s"))
        if timeout is not None and timeout > deadline:
            message = f"“{name}” may take {timeout:g} s, longer than the whole run."
            fix = f"The deadline is {deadline:g} s."
            out.append(source.problem(("tools", i, "timeout_s"), message, fix))
    return out


def _escalation(source: Document) -> list[Problem]:
    ladder = _at(source.value, "decisions", "escalation")
    if not isinstance(ladder, list):
        return []
    steps = [_number(_at(rung, "at")) for rung in ladder]
    out = []
    for i in range(1, len(steps)):
        before, now = steps[i - 1], steps[i]
        if before is not None and now is not None and now <= before:
            message = f"The ladder goes down: {now:g} comes after {before:g}."
            path: Path = ("decisions", "escalation", i, "at")
            out.append(source.problem(path, message, "Each rung must be later than the last."))
    return out + _nobodies(source, ladder)


def _nobodies(source: Document, ladder: list[Any]) -> list[Problem]:
    """Words that call nobody; an empty one is the schema's to find."""
    words = [(i, _at(rung, "to")) for i, rung in enumerate(ladder)]
    return [
        source.problem(
            ("decisions", "escalation", i, "to"),
            f"“{to}” is nobody who can be called.",
            f"{nearest(to, CALLED)} Choose one of: {', '.join(CALLED)}.".strip(),
        )
        for i, to in words
        if isinstance(to, str) and to and to not in CALLED
    ]


def _schemas(source: Document) -> list[Problem]:
    return [
        p
        for key in ("input", "output")
        for p in schema_problems(source, (key,), _at(source.value, key), of_object=key == "input")
    ]


def _signals(source: Document) -> list[Problem]:
    signals = _at(source.value, "signals")
    out = []
    for name, written in (signals if isinstance(signals, dict) else {}).items():
        if not isinstance(written, str):
            continue
        try:
            pattern(written, words=True)
        except PatternError as error:
            message = f"The pattern can't be used: {error}"
            out.append(source.problem(("signals", name), message, error.fix))
    return out


def _outside(source: Document, known: Known) -> Iterator[Problem]:
    value = source.value
    job = _at(value, "job")
    if known.job is not None and isinstance(job, str) and job != known.job:
        message = f"The job is “{known.job}”; a draft can't rename it to “{job}”."
        yield source.problem(("job",), message, f"Write “{known.job}”.")
    if known.tools is not None:
        for i, name in _listed_tools(source):
            if name not in known.tools:
                fix = nearest(name, known.tools) or "Add it to the pack's tools first."
                yield source.problem(("tools", i, "name"), f"There is no tool “{name}”.", fix)
    slugs: list[tuple[Path, Any]] = [(("agent", "slug"), _at(value, "agent", "slug"))]
    slugs += [(("agent", "fallbacks", i), s) for i, s in _texts(_at(value, "agent", "fallbacks"))]
    yield from _unknown(source, slugs, known.agents, "agent")
    policy: list[tuple[Path, Any]] = [(("decisions", "policy"), _at(value, "decisions", "policy"))]
    yield from _unknown(source, policy, known.policies, "policy set")


def _unknown(
    source: Document, named: list[tuple[Path, Any]], known: frozenset[str] | None, what: str
) -> Iterator[Problem]:
    for path, slug in named:
        if known is None or not isinstance(slug, str) or slug in known:
            continue
        fix = nearest(slug, known) or f"Known: {', '.join(sorted(known)) or 'none yet'}."
        yield source.problem(path, f"There is no {what} “{slug}”.", fix)


_CHECKS = (
    _tool_names,
    _compensations,
    _outcome,
    _retries,
    _times,
    _escalation,
    _schemas,
    _signals,
)
