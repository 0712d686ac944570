"""What publishing a text would mean: changes in sentences, and recorded decisions asked again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apps.documents.domain.changes import Change
from apps.policy.adapters import rules_of
from apps.policy.domain.diff import Text, compare
from apps.policy.domain.document import read_document
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
    )
