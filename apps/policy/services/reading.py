"""A published text as its page shows it: rule by rule, with how often each spoke."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.policy import selectors
from apps.policy.adapters import (
    Evaluator,
    evaluator_of,
    known_evaluator,
    rules_of,
    unreadable,
)
from apps.policy.domain.document import read_document
from apps.policy.domain.rules import Rule
from apps.policy.models import PolicyVersion


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as its page shows it: where it stands, and how often it decided in the time asked."""

    rule: Rule
    line: int
    source: str
    permit: int = 0
    hold: int = 0
    deny: int = 0


def evaluator(version: PolicyVersion) -> Evaluator:
    """The version, parsed (once a process)."""
    return evaluator_of(version.digest, version.text, version.limits, version.schema)


def evaluator_by(version_id: int, digest: str) -> Evaluator:
    """The version with this id and digest, parsed; read only when this process hasn't yet."""
    return known_evaluator(digest) or evaluator(PolicyVersion.objects.get(pk=version_id))


def rules(version: PolicyVersion, *, since: datetime | None = None) -> list[RuleRow]:
    """The rules of a version in the order of its text, with how often each permitted, held or
    denied a changing step since then, under any version that had a rule of that id. None for a text
    that can't be parsed: everything is denied under it, and its page still shows it."""
    document, _ = read_document(version.text)
    if document is None:
        return []
    try:
        found = rules_of(document.policies)
    except ValueError:
        return []
    hits = selectors.rule_hits(version.policy_set, since=since)
    return [
        RuleRow(rule, document.first_line + line - 1, source, **hits.get(rule.id, {}))
        for rule, line, source in found
    ]


def why_no_rules(version: PolicyVersion) -> str:
    """Why no rules of a version can be shown, as a sentence with the place; empty when they can."""
    document, problems = read_document(version.text)
    if document is None:
        return str(problems[0]) if problems else "It can't be read."
    if wrong := unreadable(document.policies):
        line = document.first_line + wrong.line - 1
        return f"Line {line}: {wrong.message} {wrong.fix}".strip()
    try:
        found = rules_of(document.policies)
    except ValueError as error:
        return f"{error}."
    return "" if found else "There is no rule in it."


def exemptions(version: PolicyVersion) -> dict[str, str]:
    """The tools that a version lets go although what they would change is not known, and why."""
    document, _ = read_document(version.text)
    return dict(document.may_go_without_facts) if document else {}
