from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.policy.adapters import Evaluator
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.mistyped import described, kept
from apps.policy.domain.request import Request, has_type
from apps.policy.domain.schema import ToolDeclaration, cedar_schema
from tests.policy.texts import RULES, refund

SCHEMA = cedar_schema(
    [
        ToolDeclaration(
            "refund",
            "irreversible",
            {"amount_cents": "long", "own": "bool", "owner": "string?", "cards": "set?"},
            "dry_run",
        ),
        ToolDeclaration("note", "draft", {"length": "long"}),
        ToolDeclaration("look", "read", {"age": "long"}),
        ToolDeclaration("ping", "write"),
    ]
)
EVALUATOR = Evaluator(RULES, {"most_cents": 5_000}, SCHEMA)
KNOWN = {"amount_cents": 1_000, "own": True}
TYPES = {"amount_cents": "long", "own": "bool", "owner": "string", "cards": "set"}
BUILT_IN = "facts-unknown"

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def judged(request: Request, evaluator: Evaluator = EVALUATOR) -> PolicyDecision:
    return evaluator.evaluate_batch([request])[0]


def test_a_missing_fact_is_held_with_the_reason_in_words() -> None:
    verdict = judged(refund(facts={"own": True}))

    assert (verdict.answer, verdict.roles, verdict.votes, verdict.risk) == (
        "hold",
        ("operator",),
        1,
        3,
    )
    assert [rule["id"] for rule in verdict.rules] == [BUILT_IN]
    assert verdict.rules[0]["reason"] == (
        "The system of record could not say what this would change: amount_cents is missing"
    )
    assert verdict.rules[0]["unknown"] == [
        {"name": "amount_cents", "wanted": "a whole number", "came": "nothing"}
    ]


@given(st.sampled_from(sorted(TYPES)), anything)
def test_no_value_of_another_type_is_let_through(name: str, came: Any) -> None:
    answer = judged(refund(facts={**KNOWN, name: came})).answer

    if not has_type(came, TYPES[name]):
        assert answer == "hold"


@given(st.dictionaries(st.sampled_from(sorted(TYPES)), anything))
def test_a_stored_question_has_the_same_gaps_when_it_is_asked_again(facts: dict[str, Any]) -> None:
    request = refund(facts=facts)
    stored = json.loads(json.dumps(request.to_json()))

    again = Request.from_json(stored)

    assert judged(again).answer == judged(request).answer
    assert [g.name for g in judged(again).unknown] == [g.name for g in judged(request).unknown]


@given(anything)
def test_what_is_kept_of_a_value_is_kept_as_it_is(value: Any) -> None:
    once = kept(value)

    assert kept(once) == once
    assert described(value)


@pytest.mark.parametrize("facts", [{}, {"owner": "kim"}, {"cards": []}, {"cards": ["a", "b"]}])
def test_a_fact_that_may_be_absent_may(facts: dict[str, Any]) -> None:
    assert judged(refund(facts={**KNOWN, **facts})).answer == "permit"


@pytest.mark.parametrize(
    "facts", [{"owner": 5}, {"owner": None}, {"cards": ["a", 5]}, {"cards": {}}]
)
def test_a_fact_that_may_be_absent_may_not_be_something_else(facts: dict[str, Any]) -> None:
    assert judged(refund(facts={**KNOWN, **facts})).answer == "hold"


def test_a_preview_that_failed_is_held_although_facts_are_known() -> None:
    verdict = judged(refund(facts=KNOWN, preview_error="no answer in 10 s"))

    assert verdict.answer == "hold"
    assert str(verdict.rules[0]["reason"]).endswith("change: no answer in 10 s")


def test_reads_are_exempt_and_drafts_are_not() -> None:
    look = refund(tool="look", effect="read", facts={}, preview_error="gone")
    note = refund(tool="note", effect="draft", facts={})

    assert judged(look).answer == "permit"
    assert judged(note).answer == "hold"


def test_a_tool_that_declares_nothing_is_as_before() -> None:
    assert judged(refund(tool="ping", effect="write", facts={})).answer == "permit"


def test_a_denial_stays_a_denial() -> None:
    verdict = judged(refund(facts={"own": False}))

    assert (verdict.answer, [rule["id"] for rule in verdict.rules]) == ("deny", ["not-own"])
    assert [gap.name for gap in verdict.unknown] == ["amount_cents"]


def test_the_roles_and_votes_of_a_hold_stay() -> None:
    verdict = judged(refund(facts={"amount_cents": 9_000}))

    assert [rule["id"] for rule in verdict.rules] == [BUILT_IN, "large"]
    assert (verdict.roles, verdict.votes, verdict.risk) == (("operator",), 2, 3)


def test_a_hold_for_another_role_is_not_opened_to_operators() -> None:
    rules = RULES.replace('"operator"', '"lead"')

    verdict = judged(
        refund(facts={"amount_cents": 9_000}), Evaluator(rules, {"most_cents": 5_000}, SCHEMA)
    )

    assert verdict.roles == ("lead",)


def test_what_people_approved_with_its_gaps_runs() -> None:
    assert judged(refund(facts={}, approvals=frozenset({"operator"}))).answer == "permit"


def test_no_rule_can_lift_the_hold() -> None:
    rules = '@id("all") permit(principal, action, resource);'

    assert judged(refund(facts={}), Evaluator(rules, {}, SCHEMA)).answer == "hold"


def test_a_tool_that_may_go_without_facts_goes_and_says_so() -> None:
    evaluator = Evaluator(RULES, {"most_cents": 5_000}, SCHEMA, {"refund": "Coins only."})

    verdict = judged(refund(facts={}), evaluator)

    assert verdict.answer == "permit"
    assert [rule["id"] for rule in verdict.rules] == ["listed", "may-go-without-facts"]
    assert verdict.rules[1]["reason"] == "Coins only."
    assert judged(refund(tool="note", effect="draft", facts={}), evaluator).answer == "hold"


def test_a_question_stored_by_an_earlier_release_is_asked_as_it_was() -> None:
    stored = refund(facts={}).to_json()
    del stored["v"]

    assert judged(Request.from_json(stored)).answer == "permit"
    assert judged(Request.from_json(refund(facts={}).to_json())).answer == "hold"


def test_a_fact_that_is_declared_since_is_not_missed() -> None:
    asked = refund(facts={"own": True})

    assert judged(replace(asked, asked_for=frozenset({"own"}))).answer == "permit"
    assert judged(replace(asked, asked_for=frozenset({"own", "amount_cents"}))).answer == "hold"


def test_many_gaps_are_counted_in_the_reason_and_listed_whole() -> None:
    facts = {f"fact_{n}": "long" for n in range(9)}
    evaluator = Evaluator(
        RULES, {"most_cents": 1}, cedar_schema([ToolDeclaration("refund", "write", facts)])
    )

    verdict = judged(refund(effect="write", facts={"fact_0": None, "fact_1": "x" * 500}), evaluator)

    assert str(verdict.rules[0]["reason"]).endswith("fact_2 is missing; and 6 more")
    assert len(str(verdict.rules[0]["reason"])) < 300
    assert len(verdict.unknown) == 9
