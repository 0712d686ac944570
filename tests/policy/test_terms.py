"""Each annotation and each limit of a policy: it is changed, and what happens changes with it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apps.documents.domain.terms import ChangeClass
from apps.policy.adapters import Evaluator, check_policies
from apps.policy.domain.rules import KNOWN_ANNOTATIONS
from apps.policy.domain.terms import ENFORCED
from apps.policy.services import compare_texts
from tests.policy.texts import RULES, SCHEMA, document, refund

LARGE = refund(facts={"amount_cents": 9_000, "own": True})
LIMITS = {"most_cents": 5_000}
LARGE_RULE = RULES.index('@id("large")')


def with_annotation(name: str, value: str | None) -> str:
    """The rules, this annotation of “large” replaced, or taken out."""
    written = "" if value is None else f'@{name}("{value}")'
    head, rest = RULES[:LARGE_RULE], RULES[LARGE_RULE:]
    if f"@{name}(" not in rest:
        return f"{head}{written} {rest}"
    return head + re.sub(rf'@{name}\("[^"]*"\)', written, rest, count=1)


def judged(rules: str, limits: dict[str, int] = LIMITS) -> dict[str, Any]:
    verdict = Evaluator(rules, limits, SCHEMA).evaluate_batch([LARGE])[0]
    last = verdict.rules[-1]
    return {
        "answer": str(verdict.answer),
        "id": last["id"],
        "reason": last["reason"],
        "require_approval": verdict.roles,
        "votes": verdict.votes,
        "risk": verdict.risk,
        "passkey": last.get("passkey", False),
        "grants": last.get("grants", ""),
    }


CHANGED: dict[str, tuple[str | None, Any]] = {
    "id": ("big", "big"),
    "reason": ("Too much", "Too much"),
    "require_approval": (None, ()),
    "votes": ("3", 3),
    "risk": ("4", 4),
    "passkey": ("required", True),
    "grants": ("never", "never"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_annotation_makes_the_difference_that_it_names(name: str) -> None:
    value, becomes = CHANGED[name]
    before, after = judged(RULES), judged(with_annotation(name, value))

    assert before[name] != becomes
    assert after[name] == becomes
    if name == "require_approval":
        assert (before["answer"], after["answer"]) == ("hold", "deny")


def test_every_annotation_is_tried() -> None:
    assert {*CHANGED, "purpose"} == set(KNOWN_ANNOTATIONS), "the purpose is words for people"


@pytest.mark.parametrize("name", ["id", "reason"])
def test_a_rule_without_its_name_or_reason_is_refused(name: str) -> None:
    found = check_policies(with_annotation(name, None), LIMITS, SCHEMA, ("operator",))

    assert any(f"no {name}" in str(p) for p in found), found


def test_a_limit_is_what_rules_compare_with() -> None:
    assert judged(RULES)["answer"] == "hold"
    assert judged(RULES, {"most_cents": 9_000})["answer"] == "permit"


KINDS = {
    ChangeClass.NEUTRAL: {"neutral"},
    ChangeClass.JUDGED: {"weaker_control", "stronger_control"},
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_is_classed_as_the_registry_says(name: str) -> None:
    after = document(with_annotation(name, CHANGED[name][0]))

    found = {str(change.kind) for change in compare_texts(document(), after)}

    assert found
    assert found <= KINDS[ENFORCED[f"@{name}"].change]
