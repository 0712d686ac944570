"""What changed between two contracts, in sentences, and whether a control got weaker.

Both sides have their defaults filled in, so writing a default down is no change. What can't be
judged is called weaker: a person should look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.compat import input_breaks, output_breaks
from apps.catalog.domain.contract import Contract
from apps.catalog.domain.contract_schema import CLASSIFICATIONS, CRITICALITIES, ERRORS
from apps.documents.domain.changes import Change, Kind, ordered
from apps.web.domain.quantities import exact_words, money_words

__all__ = ["Change", "Kind", "compare"]


def compare(
    before: Contract, after: Contract, effects: Mapping[str, str] | None = None
) -> list[Change]:
    """Every change, weaker controls first. ``effects`` (tool name → effect class) tells a new tool
    that only reads from one that writes."""
    old, new = before.as_document(), after.as_document()
    changes = [
        *_scalars(old, new),
        *_tools(old["tools"], new["tools"], effects or {}),
        *_sets(old, new),
        *_escalation(old["decisions"]["escalation"], new["decisions"]["escalation"]),
        *_signals(old["signals"], new["signals"]),
        *_schemas(old, new),
        *_failure_modes(old["failure_modes"], new["failure_modes"]),
    ]
    return ordered(changes)


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one value is spoken of, and which direction loosens it: up, down, any (can't be judged
    or always looser) or none."""

    label: str
    looser: str = "none"
    unit: str = ""
    ranks: tuple[str, ...] = ()
    kind: Kind = Kind.NEUTRAL


_RULES: dict[str, _Rule] = {
    "name": _Rule("Name"),
    "owner": _Rule("Owner"),
    "purpose": _Rule("Purpose"),
    "runbook": _Rule("Runbook"),
    "outcome.success": _Rule("What counts as success", kind=Kind.BREAKING),
    "outcome.target": _Rule("Success target", "down", "%"),
    "agent.slug": _Rule("Agent"),
    "agent.timeout_s": _Rule("Time-out of an agent's turn", "up", "s"),
    "agent.fallback_at": _Rule("Budget used when fallbacks take over", "none", "%"),
    "limits.deadline_s": _Rule("Deadline", "up", "s"),
    "limits.steps": _Rule("Step limit", "up"),
    "limits.tokens": _Rule("Token limit", "up"),
    "limits.cost_usd": _Rule("Cost limit", "up", "$"),
    "slo.latency_p95_s": _Rule("Latency target (p95)", "up", "s"),
    "slo.latency_budget_s": _Rule("Latency budget", "up", "s"),
    "decisions.policy": _Rule("Policy set", "any"),
    "decisions.votes": _Rule("Votes needed to approve", "down"),
    "decisions.window_s": _Rule("Time a person has to decide", "none", "s"),
    "decisions.on_timeout": _Rule("When nobody decides", "down", ranks=("escalate", "reject")),
    "data.freshness_s": _Rule("Age of data allowed", "up", "s"),
    "data.classification": _Rule("Data classification", "down", ranks=CLASSIFICATIONS),
    "lane": _Rule("Lane"),
    "priority": _Rule("Priority"),
    "criticality": _Rule("Criticality", "down", ranks=CRITICALITIES),
}
_TOOL_RULES: dict[str, _Rule] = {
    "timeout_s": _Rule("timeout", "none", "s"),
    "retry.attempts": _Rule("attempts", "none"),
    "retry.base_s": _Rule("first wait before a retry", "none", "s"),
    "retry.cap_s": _Rule("longest wait before a retry", "none", "s"),
    "concurrency": _Rule("calls at the same time", "up"),
    "rate_per_minute": _Rule("calls a minute", "up"),
    "repeatable": _Rule("may be repeated in one run", "up"),
    "errors": _Rule("what its errors mean", "down", ranks=ERRORS),
}


def _get(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        value = value[part]
    return value


def _scalars(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for path, rule in _RULES.items():
        before, after = _get(old, path), _get(new, path)
        if before != after:
            yield _judged(path, before, after, rule, rule.label)


def _judged(path: str, before: Any, after: Any, rule: _Rule, label: str) -> Change:
    if isinstance(before, str) and len(f"{before}{after}") > 160:
        sentence = f"{label} was rewritten"
    else:
        sentence = f"{label}: {_said(before, rule)} → {_said(after, rule)}"
    return Change(path, _direction(path, before, after, rule), sentence, before, after)


def _direction(path: str, before: Any, after: Any, rule: _Rule) -> Kind:
    if rule.looser == "any":
        return Kind.WEAKER
    if rule.looser == "none":
        return rule.kind
    old, new = _rank(path, before, rule), _rank(path, after, rule)
    return Kind.WEAKER if (new > old) == (rule.looser == "up") else Kind.STRONGER


def _rank(path: str, value: Any, rule: _Rule) -> float:
    if rule.ranks:
        return rule.ranks.index(value)
    if path == "data.freshness_s" and value == 0:
        return float("inf")  # 0: any age will do
    return float(value)


def _said(value: Any, rule: _Rule) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if rule.unit == "%":
        return f"{value * 100:.10g} %"
    if rule.unit == "$":
        return money_words(round(value * 100))
    if rule.unit == "s":
        return exact_words(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tools(
    old: list[dict[str, Any]], new: list[dict[str, Any]], effects: Mapping[str, str]
) -> Iterator[Change]:
    before, after = {t["name"]: t for t in old}, {t["name"]: t for t in new}
    for name in after.keys() - before.keys():
        effect = effects.get(name, "unknown")
        kind = Kind.NEUTRAL if effect in {"read", "draft"} else Kind.WEAKER
        yield Change(f"tools.{name}", kind, f"May now use {name} ({effect})", None, name)
    for name in before.keys() - after.keys():
        kind = Kind.NEUTRAL if effects.get(name) == "read" else Kind.STRONGER
        yield Change(f"tools.{name}", kind, f"May no longer use {name}", name, None)
    for name in sorted(before.keys() & after.keys()):
        yield from _tool(name, before[name], after[name])


def _tool(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for path, rule in _TOOL_RULES.items():
        before, after = _get(old, path), _get(new, path)
        if before != after:
            label = f"{name}: {rule.label}"
            yield _judged(f"tools.{name}.{path}", before, after, rule, label)
    before, after = old["compensation"], new["compensation"]
    if before != after:
        kind = Kind.NEUTRAL if before and after else Kind.STRONGER if after else Kind.WEAKER
        sentence = f"{name}: undone by {_undoing(before)} → {_undoing(after)}"
        yield Change(f"tools.{name}.compensation", kind, sentence, before, after)


def _undoing(compensation: Mapping[str, Any] | None) -> str:
    if not compensation:
        return "nothing"
    read = ", ".join(f"{k} from {v}" for k, v in sorted(compensation["arguments"].items()))
    return f"{compensation['tool']} ({read})" if read else str(compensation["tool"])


_SETS = {
    "outcome.when_any_of": (
        "{} no longer counts as success",
        "{} now counts as success",
        Kind.BREAKING,
        Kind.BREAKING,
    ),
    # What is handed over leaves the success share, so whoever reads it has to know.
    "outcome.hand_over": (
        "{} no longer counts as a hand-over to a person",
        "{} now counts as a hand-over to a person",
        Kind.BREAKING,
        Kind.BREAKING,
    ),
    "agent.fallbacks": (
        "Fallback agent {} removed",
        "Fallback agent {} added",
        Kind.NEUTRAL,
        Kind.NEUTRAL,
    ),
    "data.redact": (
        "{} is to be no longer hidden",
        "{} is to be hidden",
        Kind.WEAKER,
        Kind.STRONGER,
    ),
    "data.contracts": (
        "Data contract {} removed",
        "Data contract {} added",
        Kind.WEAKER,
        Kind.STRONGER,
    ),
}


def _sets(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for path, (lost, won, lost_kind, won_kind) in _SETS.items():
        before, after = _get(old, path), _get(new, path)
        for name in (n for n in before if n not in after):
            yield Change(path, lost_kind, lost.format(name), name, None)
        for name in (n for n in after if n not in before):
            yield Change(path, won_kind, won.format(name), None, name)


def _escalation(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[Change]:
    if old == new:
        return
    kind = (
        Kind.NEUTRAL
        if len(old) == len(new)
        else (Kind.WEAKER if len(new) < len(old) else Kind.STRONGER)
    )
    sentence = f"Escalation: {_ladder(old)} → {_ladder(new)}"
    yield Change("decisions.escalation", kind, sentence, old, new)


def _ladder(rungs: list[dict[str, Any]]) -> str:
    return ", ".join(f"{r['to']} at {r['at']:.0%}" for r in rungs) or "nobody"


def _signals(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        verb = "is listened for" if before is None else "has another pattern"
        if after is None:
            verb = "is no longer listened for"
        kind = Kind.NEUTRAL if before is None else Kind.WEAKER
        yield Change(f"signals.{name}", kind, f"Signal {name} {verb}", before, after)


def _schemas(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key, breaks in (("input", input_breaks), ("output", output_breaks)):
        if old[key] == new[key]:
            continue
        found = breaks(old[key], new[key], key)
        for item in found:
            sentence = f"{key.capitalize()}: {item.sentence}"
            yield Change(item.path, Kind.BREAKING, sentence)
        if not found:
            sentence = f"{key.capitalize()} schema changed; old and new fit together"
            yield Change(key, Kind.NEUTRAL, sentence)


def _failure_modes(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[Change]:
    before, after = {f["name"]: f for f in old}, {f["name"]: f for f in new}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        verb = "added" if name not in before else "removed" if name not in after else "changed"
        sentence = f"Known failure “{name}” {verb}"
        path = f"failure_modes.{name}"
        yield Change(path, Kind.NEUTRAL, sentence, before.get(name), after.get(name))
