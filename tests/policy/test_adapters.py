from __future__ import annotations

import time
from typing import Any

import pytest

from apps.policy.adapters import Evaluator, check_policies, rules_of
from apps.policy.domain.request import Request
from tests.policy.texts import RULES, SCHEMA, refund

LIMITS = {"most_cents": 5_000}
ROLES = ("operator",)
LARGE = {"amount_cents": 9_000, "own": True}


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(RULES, LIMITS, SCHEMA)


def answer(evaluator: Evaluator, request: Request) -> tuple[Any, ...]:
    verdict = evaluator.evaluate_batch([request])[0]
    return (
        verdict.answer.value,
        [rule["id"] for rule in verdict.rules],
        verdict.roles,
        verdict.votes,
        verdict.risk,
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (refund(), ("permit", ["listed"], (), 0, 1)),
        (refund(conversation={}), ("hold", ["unconfirmed"], ("operator",), 1, 2)),
        (refund(facts=LARGE), ("hold", ["large"], ("operator",), 2, 3)),
        (
            refund(facts=LARGE, approvals=frozenset({"operator"})),
            ("permit", ["listed"], (), 0, 1),
        ),
        (
            refund(facts={"amount_cents": 9_000, "own": False}),
            ("deny", ["not-own", "large"], (), 0, 3),
        ),
        (
            refund(facts={"own": False}, approvals=frozenset({"operator"})),
            ("deny", ["not-own"], (), 0, 3),
        ),
        (refund(listed=False), ("deny", [], (), 0, 1)),
        (refund(listed=False, conversation={}), ("deny", ["unconfirmed"], (), 0, 2)),
        (refund(tool="look", effect="read", conversation={}), ("permit", ["listed"], (), 0, 1)),
    ],
)
def test_three_answers(evaluator: Evaluator, request_: Request, expected: Any) -> None:
    assert answer(evaluator, request_) == expected


def test_a_tool_unknown_to_the_schema_is_denied(evaluator: Evaluator) -> None:
    verdict = evaluator.evaluate_batch([refund(tool="wire_money")])[0]

    assert verdict.answer == "deny"
    assert "wire_money" in verdict.errors[0]


def test_an_unknown_effect_class_is_denied(evaluator: Evaluator) -> None:
    assert evaluator.evaluate_batch([refund(effect="harmless")])[0].answer == "deny"


def test_the_effect_class_asked_about_decides_which_rules_apply() -> None:
    """A tool whose class has become worse since the text was published is judged by the new one."""
    evaluator = Evaluator(RULES, LIMITS, SCHEMA)

    verdict = evaluator.evaluate_batch([refund(tool="look", effect="write", conversation={})])[0]

    assert verdict.answer == "hold"


def test_an_evaluation_error_is_a_deny() -> None:
    overflow = RULES.replace(
        "context.facts.amount_cents >", "context.facts.amount_cents * 9007199254740991 >"
    )
    evaluator = Evaluator(overflow, LIMITS, SCHEMA)

    verdict = evaluator.evaluate_batch([refund(facts={"amount_cents": 10**12, "own": True})])[0]

    assert verdict.answer == "deny"
    assert verdict.errors


def test_a_hold_without_a_way_out_is_a_deny() -> None:
    closed = RULES.replace('unless { context.approvals.contains("operator") }', "")

    assert answer(Evaluator(closed, LIMITS, SCHEMA), refund(conversation={}))[0] == "deny"


def test_a_batch_keeps_its_order_and_tells_equal_tools_apart(evaluator: Evaluator) -> None:
    requests = [
        refund(),
        refund(listed=False),
        refund(conversation={}),
        refund(),
        refund(agent="b"),
    ]

    answers = [v.answer.value for v in evaluator.evaluate_batch(requests * 3)]

    assert answers == ["permit", "deny", "hold", "permit", "permit"] * 3
    assert evaluator.evaluate_batch([]) == []


def test_the_observed_value_stands_beside_its_limit(evaluator: Evaluator) -> None:
    verdict = evaluator.evaluate_batch([refund(facts=LARGE)])[0]

    assert verdict.rules[0]["observed"] == [
        {
            "name": "facts.amount_cents",
            "value": 9_000,
            "operator": ">",
            "limit": "most_cents",
            "limit_value": 5_000,
            "expected": {"operator": "≤", "value": 5_000, "name": "limits.most_cents"},
        }
    ]


def test_other_limits_can_be_tried(evaluator: Evaluator) -> None:
    asked = [refund(facts=LARGE)]

    assert evaluator.evaluate_batch(asked, limits={"most_cents": 9_001})[0].answer == "permit"


def test_a_batch_is_quick(evaluator: Evaluator) -> None:
    asked = [
        refund(facts={"amount_cents": n, "own": True}, run={"seen": [str(n)]}) for n in range(300)
    ]
    evaluator.evaluate_batch(asked)

    started = time.process_time()
    evaluator.evaluate_batch(asked)

    # 0.1 ms is usual; the bound leaves room for a busy machine.
    assert (time.process_time() - started) / len(asked) < 0.001


def places(rules: str) -> list[tuple[int, int, str]]:
    found = check_policies(rules, LIMITS, SCHEMA, ROLES)
    return [(p.line, p.column, p.message) for p in found]


def test_a_right_text_has_no_problems() -> None:
    assert places(RULES) == []


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("resource.listed }", "resource. }", "};", "token"),
        ("resource.listed", "resource.listd", "listd", "listd"),
        ("has amount_cents", "has amount_cent", "amount_cent &&", "amount_cent"),
        ("limits.most_cents", "limits.most", "limits.most", "most"),
        ('== Action::"refund"', '== Action::"refnd"', 'Action::"refnd"', "refnd"),
        ('@votes("2")', '@votes("many")', "@votes", "many"),
        ('@risk("3")', '@risk("9")', '@risk("9")', "9"),
        ('"operator") @votes', '"boss") @votes', '@require_approval("boss', "boss"),
        ('@votes("2")', '@passkey("no")', "@passkey", "“no”"),
        ('@votes("2")', '@grants("seldom")', "@grants", "“seldom”"),
        ('@id("listed")', '@id("listed") @passkey("required")', "@passkey", "means nothing"),
        ('@reason("No clear yes")', "", '@id("unconfirmed")', "no reason"),
        ('@id("listed")', '@id("large")', '@id("large") @require', "already called"),
        ('@id("large")', '@id("facts-unknown")', '@id("facts-unknown")', "built in"),
        ("@purpose", "@porpoise", "@porpoise", "porpoise"),
        ("!context.facts.own }", "context.facts.own > 3 }", "when { context.facts has own", "Long"),
        ("context.facts has own && ", "", "facts.own", "optional"),
    ],
)  # fmt: skip
def test_a_problem_names_its_place(old: str, new: str, at: str, said: str) -> None:
    assert old in RULES
    rules = RULES.replace(old, new, 1)
    before = rules[: rules.index(at)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")

    found = places(rules)

    assert any((line, column) == (p[0], p[1]) and said in p[2] for p in found), found


def test_a_hold_rule_that_no_approval_could_lift_is_refused() -> None:
    closed = RULES.replace('unless { context.approvals.contains("operator") };', ";", 1)

    assert any("could ever lift" in message for _, _, message in places(closed))


def test_an_unfinished_text_is_told_where_it_ends() -> None:
    unfinished = RULES.rstrip().removesuffix(";")

    assert places(unfinished) == [(16, 55, "Unexpected end of input.")]


def test_no_rules_at_all_is_a_problem() -> None:
    assert len(places("// nothing yet\n")) == 1


def test_rules_keep_their_order_lines_and_source() -> None:
    rules = rules_of(RULES)

    assert [(rule.id, line) for rule, line, _ in rules] == [
        ("listed", 1),
        ("unconfirmed", 3),
        ("large", 8),
        ("not-own", 14),
    ]
    assert rules[2][0].purpose == "Large refunds are looked at."
    assert "".join(source for _, _, source in rules).count("forbid") == 3
