"""What a contract's parts have to do with each other, and with what exists outside of it.

Each check looks at whatever part of the document has the right shape; what hasn't was reported
against the schema already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.catalog.domain.contract_schema import DEADLINE_S
from apps.catalog.domain.structure import nearest, schema_problems
from apps.catalog.domain.undoing import path_problem, reads_before
from apps.kernel.documents import Document, Path, Problem
from apps.kernel.ecma import PatternError
from apps.kernel.patterns import pattern
from apps.oversight.domain import reasons
from apps.oversight.domain.ladder import CALLED
from apps.redaction.domain import names


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What exists outside the document: None means "not known here", so it isn't checked.
    ``policies`` are the domain's own; ``elsewhere`` says whose the others are."""

    tools: Mapping[str, str] | None = None  # name → effect class
    agents: frozenset[str] | None = None
    policies: frozenset[str] | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)  # policy set → domain
    job: str | None = None
    numbers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tool → ``numbers_of``


def cross_problems(source: Document, known: CheckContext) -> list[Problem]:
    """Everything that is wrong between the parts of a contract, and with what it names."""
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
    unlisted = [
        source.problem(
            ("outcome", key, i),
            f"“{name}” is not one of the contract's tools.",
            nearest(name, names) or "List it under “tools”, or leave it out.",
        )
        for key in ("when_any_of", "hand_over")
        for i, name in _texts(_at(source.value, "outcome", key))
        if name not in names
    ]
    return unlisted + _either_or(source)


def _either_or(source: Document) -> list[Problem]:
    """A run counts once: a tool either reaches what the job is for or hands the case on."""
    reaching = [name for _, name in _texts(_at(source.value, "outcome", "when_any_of"))]
    return [
        source.problem(
            ("outcome", "hand_over", i),
            f"“{name}” counts as success already, so it can't be a hand-over.",
            "Keep it in “when_any_of” or in “hand_over”.",
        )
        for i, name in _texts(_at(source.value, "outcome", "hand_over"))
        if name in reaching
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
    deadline = _number(_at(source.value, "limits", "deadline_s")) or DEADLINE_S
    window = _number(_at(source.value, "decisions", "window_s"))
    if window is not None and window > deadline:
        message = f"The approval window is {window:g} s, but the run ends after {deadline:g} s."
        path: Path = ("decisions", "window_s")
        fix = "Shorten the window or raise limits.deadline_s."
        out.append(source.problem(path, message, fix, severity="warning"))
    elif window == deadline and _at(source.value, "decisions", "on_timeout") == "escalate":
        message = "The run's deadline ends with the approval window: no time is left to escalate."
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
            message = f"The escalation steps are out of order: {now:g} after {before:g}."
            path: Path = ("decisions", "escalation", i, "at")
            out.append(
                source.problem(path, message, "Each step must be later than the one before.")
            )
    return out + _unknown_targets(source, ladder)


def _reasons(source: Document) -> list[Problem]:
    """Reasons to choose from that an approver could not type either."""
    out = []
    for name in ("approve_reasons", "reject_reasons"):
        offered = _at(source.value, "decisions", name)
        for i, reason in enumerate(offered if isinstance(offered, list) else ()):
            if isinstance(reason, str) and reason and (why := reasons.fault(reason)):
                message = f"“{reason}” is no reason for a decision."
                out.append(source.problem(("decisions", name, i), message, why))
    return out


def _unknown_targets(source: Document, ladder: list[Any]) -> list[Problem]:
    """Escalation targets that don't exist; an empty one is the schema's to find."""
    words = [(i, _at(rung, "to")) for i, rung in enumerate(ladder)]
    return [
        source.problem(
            ("decisions", "escalation", i, "to"),
            f"“{to}” is not a valid escalation target.",
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


def _hidden(source: Document) -> list[Problem]:
    """Names of hidden values that can't be looked for."""
    return [
        source.problem(("data", "redact", i), message, "Such as “dob” or “customer.address.zip”.")
        for i, name in _texts(_at(source.value, "data", "redact"))
        if (message := names.problem(name))
    ]


def numbers_of(tool: Mapping[str, Any]) -> tuple[str, ...]:
    """The places of a tool's call that have to stay numbers: its amount, and facts that are."""
    facts = tool.get("facts")
    amount = tool.get("amount")
    found = (
        [f"facts.{n}" for n, kind in facts.items() if str(kind).startswith("long")]
        if (isinstance(facts, Mapping))
        else []
    )
    return tuple(dict.fromkeys([*found, *([amount] if isinstance(amount, str) and amount else [])]))


def _hidden_numbers(source: Document, known: CheckContext) -> Iterator[Problem]:
    """A rule can't compare a token with a limit: what is judged as a number can't be hidden."""
    for i, name in _texts(_at(source.value, "data", "redact")):
        for _, tool in _listed_tools(source):
            places = [p for p in known.numbers.get(tool, ()) if names.names_of([name]).hides(p)]
            if places:
                message = f"“{name}” hides {places[0]} of “{tool}”, by which rules judge."
                fix = "Leave it out, or name what is to be hidden by its path."
                yield source.problem(("data", "redact", i), message, fix)
                break


def _outside(source: Document, known: CheckContext) -> Iterator[Problem]:
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
    yield from _policy(source, known)
    yield from _hidden_numbers(source, known)


def _policy(source: Document, known: CheckContext) -> Iterator[Problem]:
    """A policy set of another domain judges by that domain's tools and facts: under it every step
    of this job would be denied, or worse, judged by what it doesn't mean."""
    path: Path = ("decisions", "policy")
    slug = _at(source.value, *path)
    own = known.policies
    if own is not None and isinstance(slug, str) and slug not in own and slug in known.elsewhere:
        message = f"The policy set “{slug}” belongs to another domain, {known.elsewhere[slug]}."
        fix = f"Name one of this domain: {', '.join(sorted(own)) or 'none yet'}."
        yield source.problem(path, message, fix)
        return
    yield from _unknown(source, [(path, slug)], own, "policy set")


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
    _reasons,
    _schemas,
    _signals,
    _hidden,
)
