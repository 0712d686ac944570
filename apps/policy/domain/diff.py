"""What changed between two policy texts, in sentences, and whether a control got weaker.

What can't be judged, such as a rewritten condition, is called weaker: a person should look at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apps.documents.domain.changes import Change, Kind, ordered
from apps.policy.domain.cases import PolicyTest
from apps.policy.domain.proofs.sentences import Sentence
from apps.policy.domain.rules import Rule

_NUMBERS = (("votes", "votes needed"), ("risk", "risk"))
_WORDS = (("reason", "the reason shown"), ("purpose", "what it is for"))


@dataclass(frozen=True, slots=True)
class Text:
    """One side: its rules by id, their conditions as written, its limits, and the tools that may go
    without facts with the reasons given."""

    rules: Mapping[str, Rule]
    conditions: Mapping[str, str]
    limits: Mapping[str, int]
    may_go_without_facts: Mapping[str, str] = field(default_factory=dict)
    invariants: Mapping[str, Sentence] = field(default_factory=dict)
    tests: Mapping[str, PolicyTest] = field(default_factory=dict)


def compare(before: Text, after: Text) -> list[Change]:
    """Every change, weaker controls first."""
    found = [*_rules(before, after), *_limits(before, after), *_exemptions(before, after)]
    return ordered([*found, *_invariants(before, after), *_tests(before, after)])


def _tests(before: Text, after: Text) -> Iterator[Change]:
    """Tests control nothing themselves; that one is gone or other is told."""
    for name in [*before.tests, *(n for n in after.tests if n not in before.tests)]:
        was, now = before.tests.get(name), after.tests.get(name)
        if was is None or now is None:
            words = "is new" if was is None else "is gone"
            yield Change(f"tests.{name}", Kind.NEUTRAL, f"The test “{name}” {words}")
        elif was.stated != now.stated:
            yield Change(f"tests.{name}", Kind.NEUTRAL, f"The test “{name}” says something else")


def _invariants(before: Text, after: Text) -> Iterator[Change]:
    """Sentences hold a later draft to what this one promises: fewer of them is a weaker control."""
    old, new = before.invariants, after.invariants
    for name in [*old, *(n for n in new if n not in old)]:
        path, was, now = f"invariants.{name}", old.get(name), new.get(name)
        if was == now:
            continue
        if now is None:
            kind = Kind.STRONGER if was is not None and was.waived else Kind.WEAKER
            yield Change(path, kind, f"“{name}” is no longer {_standing(was)}")
        elif was is None:
            kind = Kind.WEAKER if now.waived else Kind.STRONGER
            yield Change(path, kind, f"“{name}” is now {_standing(now)}")
        else:
            yield Change(path, Kind.WEAKER, f"“{name}” is stated otherwise than before")


def _standing(sentence: Sentence | None) -> str:
    if sentence is not None and sentence.waived:
        return f"waived: {sentence.waived}"
    return "demanded" if sentence is None else f"demanded: {sentence.says}"


def _rules(before: Text, after: Text) -> Iterator[Change]:
    for key, rule in after.rules.items():
        path = f"policies.{key}"
        if key not in before.rules:
            kind = Kind.STRONGER if rule.effect == "forbid" else Kind.WEAKER
            yield Change(path, kind, f"New {_what(rule)} “{key}”: {rule.reason or rule.purpose}")
        else:
            yield from _rule(path, before, after, key)
    for key, rule in before.rules.items():
        if key not in after.rules:
            kind = Kind.WEAKER if rule.effect == "forbid" else Kind.STRONGER
            yield Change(f"policies.{key}", kind, f"The {_what(rule)} “{key}” is gone")


def _what(rule: Rule) -> str:
    if rule.effect == "permit":
        return "permit"
    return "hold rule" if rule.is_hold else "hard rule"


def _rule(path: str, before: Text, after: Text, key: str) -> Iterator[Change]:
    old, new = before.rules[key], after.rules[key]
    if _what(old) != _what(new):
        weaker = new.effect == "permit" or (old.effect == "forbid" and not old.is_hold)
        kind = Kind.WEAKER if weaker else Kind.STRONGER
        yield Change(path, kind, f"“{key}” was a {_what(old)} and is a {_what(new)}")
    elif old.role != new.role:
        yield Change(path, Kind.WEAKER, f"“{key}”: approved by {old.role} → {new.role}")
    if _what(old) == _what(new):
        yield from _demands(path, old, new, key)
    for name, label in _WORDS:
        if getattr(old, name) != getattr(new, name):
            yield Change(f"{path}.words", Kind.NEUTRAL, f"“{key}”: {label} changed")
    if _squeezed(before.conditions[key]) != _squeezed(after.conditions[key]):
        yield Change(path, Kind.WEAKER, f"“{key}”: its condition was rewritten")


def _demands(path: str, old: Rule, new: Rule, key: str) -> Iterator[Change]:
    for name, label in _NUMBERS:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            kind = Kind.WEAKER if now < was else Kind.STRONGER
            yield Change(f"{path}.{name}", kind, f"“{key}”: {label} {was} → {now}")
    if old.passkey != new.passkey:
        kind = Kind.WEAKER if old.passkey else Kind.STRONGER
        asked = "no passkey any more" if old.passkey else "a passkey of whoever approves"
        yield Change(f"{path}.passkey", kind, f"“{key}” asks for {asked}")
    if old.ungranted != new.ungranted:
        kind = Kind.WEAKER if old.ungranted else Kind.STRONGER
        may = "may be covered by a grant" if old.ungranted else "is covered by no grant"
        yield Change(f"{path}.grants", kind, f"What “{key}” holds {may}")


def _squeezed(source: str) -> str:
    return "".join(source.split())


def _limits(before: Text, after: Text) -> Iterator[Change]:
    for name in sorted({*before.limits, *after.limits}):
        was, now = before.limits.get(name), after.limits.get(name)
        if was == now:
            continue
        shown = f"{_number(was)} → {_number(now)}"
        kind = Kind.NEUTRAL if was is None else Kind.WEAKER
        if was is not None and now is not None and _guards(after.rules.values(), name, now > was):
            kind = Kind.STRONGER
        yield Change(f"limits.{name}", kind, f"Limit {name}: {shown}")


def _exemptions(before: Text, after: Text) -> Iterator[Change]:
    old, new = before.may_go_without_facts, after.may_go_without_facts
    for tool in sorted({*old, *new}):
        path = f"may_go_without_facts.{tool}"
        if tool not in old:
            words = f"“{tool}” may now go although what it would change is not known: {new[tool]}"
            yield Change(path, Kind.WEAKER, words)
        elif tool not in new:
            words = f"“{tool}” is now held for a person when what it would change is not known"
            yield Change(path, Kind.STRONGER, words)
        elif old[tool] != new[tool]:
            words = f"“{tool}”: why it may go without facts changed"
            yield Change(path, Kind.NEUTRAL, words)


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _guards(rules: Iterable[Rule], name: str, raised: bool) -> bool:
    """Whether moving the limit this way makes every rule that compares with it stricter."""
    uses = [(r, o) for r in rules for o in r.observations if o.limit == name]
    stricter = [
        ((o.operator in {">", "≥"}) != raised) == (r.effect == "forbid")
        for r, o in uses
        if o.operator in {">", "≥", "<", "≤"}
    ]
    return bool(uses) and len(stricter) == len(uses) and all(stricter)
