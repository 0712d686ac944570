"""What changed between two contracts, in sentences, and whether a control got weaker.

Both sides have their defaults filled in, so writing a default down is no change. What can't be
judged is called weaker: a person should look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.catalog.domain.compat import input_breaks, output_breaks
from apps.catalog.domain.contract import Contract
from apps.catalog.domain.fields import FIELDS, TOOL_FIELDS, Spoken, said, value_at
from apps.documents.domain.changes import Change, Kind, ordered

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


def _scalars(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for path, rule in FIELDS.items():
        before, after = value_at(old, path), value_at(new, path)
        if before != after and path not in _SETS:
            yield _judged(path, before, after, rule, rule.label)


def _judged(path: str, before: Any, after: Any, rule: Spoken, label: str) -> Change:
    if isinstance(before, str) and len(f"{before}{after}") > 160:
        sentence = f"{label} was rewritten"
    else:
        sentence = f"{label}: {said(before, rule)} → {said(after, rule)}"
    return Change(path, _direction(path, before, after, rule), sentence, before, after)


def _direction(path: str, before: Any, after: Any, rule: Spoken) -> Kind:
    if rule.looser == "any":
        return Kind.WEAKER
    if rule.looser == "none":
        return rule.kind
    old, new = _rank(path, before, rule), _rank(path, after, rule)
    return Kind.WEAKER if (new > old) == (rule.looser == "up") else Kind.STRONGER


def _rank(path: str, value: Any, rule: Spoken) -> float:
    if rule.ranks:
        return rule.ranks.index(value)
    if path == "data.freshness_s" and value == 0:
        return float("inf")  # 0: any age will do
    return float(value)


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
    for path, rule in TOOL_FIELDS.items():
        before, after = value_at(old, path), value_at(new, path)
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
    "decisions.approve_reasons": (
        "Reason to approve “{}” is no longer offered",
        "Reason to approve “{}” is offered",
        Kind.NEUTRAL,
        Kind.NEUTRAL,
    ),
    "decisions.reject_reasons": (
        "Reason to reject “{}” is no longer offered",
        "Reason to reject “{}” is offered",
        Kind.NEUTRAL,
        Kind.NEUTRAL,
    ),
    "data.redact": (
        "{} is no longer hidden",
        "{} is hidden",
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
        before, after = value_at(old, path), value_at(new, path)
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
