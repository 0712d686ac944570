"""What publishing a text would mean: changes in sentences, and recorded decisions asked again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from apps.documents.domain.changes import Change, Kind, ordered
from apps.policy.adapters import rules_of
from apps.policy.domain.diff import Text, compare
from apps.policy.domain.document import read_document
from apps.policy.domain.proofs.assessment import Assessment, Witness
from apps.policy.services.simulating import Simulation

_MOVES = {
    ("hold", "permit"): "would no longer ask a person",
    ("deny", "permit"): "would no longer be denied",
    ("deny", "hold"): "would ask a person instead of being denied",
    ("permit", "hold"): "would now ask a person",
    ("permit", "deny"): "would now be denied",
    ("hold", "deny"): "would be denied instead of asking a person",
}


def moves(found: Simulation) -> Iterator[str]:
    """What recorded decisions would become, in sentences."""
    if not found.total:
        yield "No decision was recorded yet, so nothing can be asked again."
        return
    moved = [(words, found.counts.get(key, 0)) for key, words in _MOVES.items()]
    for words, count in moved:
        if count:
            yield f"{count} {'step' if count == 1 else 'steps'} {words}."
    if not found.changed:
        yield "Every one would be answered as it was."
    yield f"Asked again: the last {found.total:,} steps that change something."


def compare_texts(before: str, after: str) -> list[Change]:
    """Changes of meaning between two documents. One that can't be parsed has no rules: under it
    everything is denied."""
    return compare(_text(before), _text(after))


def with_proofs(
    changes: Sequence[Change], found: Assessment | None, in_force: Assessment | None
) -> list[Change]:
    """The same changes, with what is proved of the answers. Where it is known of every tool which
    requests are answered otherwise, that decides: a rule that looks weaker and lets nothing more
    through is no weaker control. What the version ``in_force`` breaks as well is no change."""
    if found is None or not found.compared:
        return list(changes)
    known = {f.id for f in in_force.broken} if in_force else frozenset[str]()
    proved = [c for c in _proved(found) if c.path.removeprefix("invariants.") not in known]
    if found.undecided:
        return ordered([*proved, *changes])
    return ordered([*proved, *(_reconciled(change, found) for change in changes)])


def _proved(found: Assessment) -> Iterator[Change]:
    for finding in found.broken:
        yield Change(f"invariants.{finding.id}", Kind.WEAKER, f"Broken: “{finding.says}”")
    for tool, why in found.undecided.items():
        words = f"“{tool}”: not known whether it is answered more easily, so it counts as weaker"
        yield Change(f"tools.{tool}", Kind.WEAKER, f"{words}. {why}")
    for shown in found.weaker:
        yield Change(f"tools.{shown.tool}", Kind.WEAKER, f"{answered(shown)}: weaker")
    for shown in found.stricter:
        yield Change(f"tools.{shown.tool}", Kind.STRONGER, f"{answered(shown)}: stricter")


def answered(shown: Witness) -> str:
    """What becomes of the request that shows a difference, in words."""
    before, after = shown.example["before"], shown.example["answer"]
    was, now = before["answer"], after
    by = ", ".join(f"“{rule}”" for rule in before["rules"][:2])
    named = f" by {by}" if was != "permit" and by else ""
    if was == now:
        return f"“{shown.tool}”: other people or fewer votes are asked where it was held{named}"
    return f"“{shown.tool}”: a request that was {PAST[was]}{named} is {PAST[now]}"


PAST = {"permit": "permitted", "hold": "held for a person", "deny": "denied"}
_TOLD = (".risk", ".words", ".passkey", ".grants")  # of which answers say nothing


def _reconciled(change: Change, found: Assessment) -> Change:
    if change.path.startswith("invariants.") or change.path.endswith(_TOLD):
        return change
    if change.kind == Kind.WEAKER and not found.weaker:
        return replace(change, kind=Kind.STRONGER if found.stricter else Kind.NEUTRAL)
    if change.kind == Kind.STRONGER and not found.stricter:
        return replace(change, kind=Kind.NEUTRAL)
    return change


# Annotations are compared by their values; what is left of a rule is its scope and condition.
_ANNOTATION = re.compile(r'@\w+\s*(?:\(\s*"(?:\\.|[^"\\])*"\s*\))?|//[^\n]*')


def _text(text: str) -> Text:
    document, _ = read_document(text)
    if document is None:
        return Text({}, {}, {})
    try:
        rows = rules_of(document.policies)
    except ValueError:
        rows = []
    return Text(
        rules={rule.id: rule for rule, _, _ in rows},
        conditions={rule.id: _ANNOTATION.sub("", source) for rule, _, source in rows},
        limits=document.limits,
        may_go_without_facts=document.may_go_without_facts,
        invariants={sentence.id: sentence for sentence in document.invariants},
        tests={case.name: case for case in document.cases},
    )
