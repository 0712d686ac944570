"""No desk's rules can be got round by hiding what they read: tried for each tool and fact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from apps.policy.domain.request import Request
from controltower.practice import measure
from tests.practice.packs.clean import declared
from tests.practice.packs.test_policies import CASES, DOMAINS, question

HIDDEN = object()
REFUND = {"facts": {"amount_kind": "refund"}}
NO_FACT: tuple[Any, ...] = (
    HIDDEN,
    None,
    1.5,
    2**63,
    -(2**63) - 1,
    10**40,
    {"amount": 1},
    [1, None],
)
OF_ANOTHER_TYPE: dict[str, tuple[Any, ...]] = {
    "bool": ("true", 1, 0, ["true"]),
    "long": ("1000001", True, ["1"]),
    "string": (7, False, ["kim_1"]),
    "set": ("card_1", 7, True, ["card_1", 5]),
}


def hidden(request: Request, name: str, came: Any) -> Request:
    facts = {key: value for key, value in request.facts.items() if key != name}
    return replace(request, facts=facts if came is HIDDEN else {**facts, name: came})


def questions(domain: str) -> list[Request]:
    """Every tool that changes something: clean, and as each rule's case has it."""
    pack = measure.load_pack(domain)
    tools = [tool for tool, effect in pack.effects.items() if effect in ("write", "irreversible")]
    clean = [question(domain, tool) for tool in tools]
    return clean + [
        question(domain, tool, changes) for d, _, _, tool, changes in CASES if d == domain
    ]


def every_way(request: Request) -> Iterator[tuple[str, bool, Any, Request]]:
    for name, fact in declared(request.domain, request.tool).items():
        for came in (*NO_FACT, *OF_ANOTHER_TYPE[fact.kind]):
            yield name, fact.optional and came is HIDDEN, came, hidden(request, name, came)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_hidden_or_mistyped_fact_never_permits(domain: str) -> None:
    evaluator = measure.load_pack(domain).evaluator
    asked = questions(domain)
    before = evaluator.evaluate_batch(asked)
    tried, through = 0, []

    for request, verdict in zip(asked, before, strict=True):
        ways = list(every_way(request))
        after = evaluator.evaluate_batch([way[-1] for way in ways])
        for (name, may_be_absent, came, _), now in zip(ways, after, strict=True):
            tried += 1
            stopped = may_be_absent and verdict.answer == "permit"
            if now.answer == "permit" and not stopped:
                through.append((request.tool, name, came))
            if verdict.answer == "deny":  # what made it a denial may be the very thing hidden
                assert now.answer in ("deny", "hold")

    assert through == []
    assert tried > 5_000


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_fact_that_may_be_absent_is_read_by_no_rule(domain: str) -> None:
    """Should a rule read one, this list is where its author says why hiding it does no harm."""
    evaluator = measure.load_pack(domain).evaluator
    optional = {
        name
        for tool, effect in measure.load_pack(domain).effects.items()
        if effect != "read"
        for name, fact in declared(domain, tool).items()
        if fact.optional
    }

    read = {o.name for rule in evaluator.rules.values() for o in rule.observations}

    assert optional == {"owner_name"} | ({"certificate_for"} if domain == "airline" else set())
    assert not optional & read


def test_a_dollar_above_the_limit_is_held_however_it_is_written() -> None:
    evaluator = measure.load_pack("airline").evaluator
    asked = [
        hidden(question("airline", "cancel_reservation", REFUND), "amount_cents", came)
        for came in (1_000_001, 1_000_001.0, Decimal("1000001.00"), "1000001", None, 2**53, HIDDEN)
    ]

    assert {v.answer.value for v in evaluator.evaluate_batch(asked)} == {"hold"}
