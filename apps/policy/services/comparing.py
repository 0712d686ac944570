"""What publishing a text would mean: changes in sentences, and recorded decisions asked again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.kernel.documents import Problem
from apps.kernel.textdiff import Row
from apps.policy.adapters import rules_of
from apps.policy.domain.diff import Change, Text, compare
from apps.policy.domain.document import read_document
from apps.policy.models import PolicySet, PolicyVersion
from apps.policy.services.drafting import Check, check_text
from apps.policy.services.simulating import Simulation, simulate

ASKED_AGAIN = 500  # while typing: a fraction of a second
_MOVES = {
    ("hold", "permit"): "would no longer ask a person",
    ("deny", "permit"): "would no longer be denied",
    ("deny", "hold"): "would ask a person instead of being denied",
    ("permit", "hold"): "would now ask a person",
    ("permit", "deny"): "would now be denied",
    ("hold", "deny"): "would be denied instead of asking a person",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the editor says about a text."""

    check: Check
    changes: tuple[Change, ...] = ()
    simulation: Simulation | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.check.problems

    @property
    def has_errors(self) -> bool:
        return self.check.has_errors

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.check.rows

    @property
    def published(self) -> PolicyVersion | None:
        return self.check.published

    @property
    def impact_lines(self) -> list[str]:
        return list(_impact(self.simulation))


def _impact(found: Simulation | None) -> Iterator[str]:
    if found is None:
        yield "Recorded decisions are asked again when the text has no errors."
        return
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


def review_text(policy_set: PolicySet, text: str) -> Findings:
    """Problems, changes of meaning, and how the last recorded decisions would be answered."""
    check = check_text(policy_set, text)
    if check.has_errors or check.published is None:
        return Findings(check)
    changes = compare_texts(check.published.text, text)
    return Findings(check, tuple(changes), simulate(policy_set, text, limit=ASKED_AGAIN))


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
