"""Every rule of both desks: one question that it answers, and a clean one that it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from apps.policy.adapters import check_policies, rules_of
from apps.policy.domain.document import read_document
from apps.policy.domain.request import Request
from apps.policy.domain.schema import ToolDeclaration, cedar_schema
from apps.policy.domain.unknown import RULE
from controltower.practice import measure
from tests.practice.packs.clean import clean_facts

DOMAINS = ("airline", "retail")
FOUND = {"reads_before": ["find_user_id_by_email"], "answers": ["kim_1"]}
AGREED = {"confirmed": True, "understood": True, "customer_named": ["owner"], "spelled_out": True}
BOOK, CANCEL, FLIGHTS, BAGS = (
    "book_reservation",
    "cancel_reservation",
    "update_reservation_flights",
    "update_reservation_baggages",
)
SWAP, RETURN, DROP, MOVE, PAY = (
    "modify_pending_order_items",
    "return_delivered_order_items",
    "cancel_pending_order",
    "modify_pending_order_address",
    "modify_pending_order_payment",
)
NOT_ELIGIBLE = {"cancel_allowed": False, "cancel_needs_reason": False}
CLAIM = {"cancel_allowed": False, "cancel_needs_reason": True}
OFF_ROUTE = {"route_kept": False, "route_on_record_fits": True, "route_same_city": False}
BASIC = {"cabin": "basic_economy", "flights_change": True}
HEARD = {"signals": ["health_or_weather"]}
NOT_CHOSEN = {"payment_was_used": False, "payment_choices": 2}
ALWAYS = {"send_certificate": "compensation-by-a-person"}  # held whatever the circumstances


def facts(**changes: Any) -> dict[str, Any]:
    return {"facts": changes}


def said(**changes: Any) -> dict[str, Any]:
    return {"conversation": changes}


def ran(**changes: Any) -> dict[str, Any]:
    return {"run": changes}


# domain, rule, answer, tool, what differs from a clean question
CASES: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("airline", "company-would-refuse", "deny", BOOK, facts(would_refuse=True)),
    ("airline", "payment-not-in-profile", "deny", BOOK, facts(payment_in_profile=False)),
    ("airline", "payment-kinds", "deny", FLIGHTS, facts(payment_kinds_ok=False)),
    ("airline", "reservation-already-cancelled", "deny", BAGS, facts(already_cancelled=True)),
    ("airline", "too-many-travellers", "deny", BOOK, facts(passengers_within_limit=False)),
    ("airline", "booking-off-route", "deny", BOOK, facts(route_matches=False)),
    ("airline", "basic-economy-flights", "deny", FLIGHTS, facts(cabin_changes=False, **BASIC)),
    ("airline", "route-must-stay", "deny", FLIGHTS, facts(**OFF_ROUTE)),
    (
        "airline",
        "cabin-after-departure",
        "deny",
        FLIGHTS,
        facts(any_flown=True, cabin_changes=True),
    ),
    ("airline", "flight-has-left", "deny", FLIGHTS, facts(new_departure_passed=True)),
    (
        "airline",
        "number-of-travellers",
        "deny",
        "update_reservation_passengers",
        facts(passenger_count_kept=False),
    ),
    ("airline", "bags-removed", "deny", BAGS, facts(bags_removed=True)),
    ("airline", "cancellation-not-eligible", "deny", CANCEL, facts(**NOT_ELIGIBLE)),
    (
        "airline",
        "compensation-not-eligible",
        "deny",
        "send_certificate",
        facts(compensation_eligible=False),
    ),
    ("airline", RULE, "hold", BOOK, facts(would_refuse=None)),
    ("airline", "not-confirmed", "hold", BAGS, said(confirmed=False)),
    ("airline", "answer-not-understood", "hold", BAGS, said(confirmed=False, understood=False)),
    ("airline", "customer-not-named", "hold", BAGS, said(customer_named=["reservation_id"])),
    ("airline", "booking-not-spelled-out", "hold", BOOK, said(unspoken=["flights"])),
    ("airline", "same-flights-twice", "hold", BOOK, facts(same_flights_held=True)),
    ("airline", "another-booking", "hold", BOOK, ran(same_tool_before=1)),
    ("airline", "flights-overlap", "hold", FLIGHTS, facts(flights_in_order=False)),
    ("airline", "route-unclear", "hold", FLIGHTS, facts(**{**OFF_ROUTE, "route_same_city": True})),
    ("airline", "basic-economy-loophole", "hold", FLIGHTS, facts(cabin_changes=True, **BASIC)),
    (
        "airline",
        "refund-elsewhere",
        "hold",
        FLIGHTS,
        facts(amount_kind="refund", payment_was_used=False),
    ),
    ("airline", "bag-fee", "hold", BAGS, facts(nonfree_after=1, nonfree_expected=0)),
    ("airline", "bags-charged-not-added", "hold", BAGS, facts(bags_added=0)),
    ("airline", "cancel-flown", "hold", CANCEL, facts(any_flown=True)),
    (
        "airline",
        "cancel-after-change",
        "hold",
        CANCEL,
        facts(**NOT_ELIGIBLE) | ran(same_resource_before=1),
    ),
    ("airline", "insurance-reason-not-heard", "hold", CANCEL, facts(**CLAIM)),
    (
        "airline",
        "insurance-claim-large",
        "hold",
        CANCEL,
        facts(amount_cents=200_000, **CLAIM) | said(**HEARD),
    ),
    ("airline", "compensation-by-a-person", "hold", "send_certificate", {}),
    ("airline", "payment-not-chosen", "hold", FLIGHTS, facts(**NOT_CHOSEN)),
    ("airline", "payment-not-chosen", "hold", BAGS, facts(**NOT_CHOSEN)),
    ("airline", "bags-nobody-asked-for", "hold", BOOK, facts(bags_after=1)),
    ("airline", "birth-date-unlike-the-record", "hold", BOOK, facts(birth_dates_fit=False)),
    ("airline", "booking-charge", "hold", BOOK, facts(fresh_money_cents=10_001)),
    (
        "airline",
        "cancels-its-own-booking",
        "hold",
        CANCEL,
        facts(booked_hours_ago=0) | ran(mutations_before=1),
    ),
    ("airline", "after-a-rejection", "hold", BAGS, ran(same_resource_rejected=1)),
    ("airline", "certificate-value-lost", "hold", BOOK, facts(certificate_value_lost_cents=20_000)),
    ("airline", "charge-above-limit", "hold", FLIGHTS, facts(amount_cents=150_001)),
    (
        "airline",
        "refund-above-limit",
        "hold",
        CANCEL,
        facts(amount_kind="refund", amount_cents=1_000_001),
    ),
    (
        "airline",
        "very-large-amount",
        "hold",
        CANCEL,
        facts(amount_kind="other", amount_cents=100_000_001),
    ),
    ("airline", "changed-again-and-again", "hold", BAGS, ran(same_resource_before=3)),
    ("retail", "company-would-refuse", "deny", DROP, facts(would_refuse=True)),
    ("retail", "somebody-elses", "deny", DROP, facts(owner="lee_2")),
    ("retail", "only-pending-orders", "deny", MOVE, facts(order_status="processed")),
    ("retail", "only-delivered-orders", "deny", RETURN, facts(order_status="return requested")),
    ("retail", "items-changed-once", "deny", SWAP, facts(already_modified=True)),
    ("retail", "cancel-reasons", "deny", DROP, facts(reason_allowed=False)),
    ("retail", "same-product", "deny", SWAP, facts(same_product=False)),
    ("retail", "item-not-available", "deny", SWAP, facts(new_items_available=False)),
    ("retail", "items-of-the-order", "deny", RETURN, facts(items_in_order=False)),
    ("retail", "payment-not-in-profile", "deny", PAY, facts(payment_in_profile=False)),
    (
        "retail",
        "refund-to-original-or-gift-card",
        "deny",
        RETURN,
        facts(payment_is_original_or_gift=False),
    ),
    ("retail", "gift-card-balance", "deny", PAY, facts(gift_card_covers=False)),
    ("retail", "another-single-payment", "deny", PAY, facts(payment_differs=False)),
    ("retail", RULE, "hold", DROP, facts(would_refuse=None)),
    ("retail", "customer-not-identified", "hold", DROP, ran(reads_before=[], answers=[])),
    ("retail", "not-confirmed", "hold", RETURN, said(confirmed=False)),
    ("retail", "answer-not-understood", "hold", RETURN, said(confirmed=False, understood=False)),
    (
        "retail",
        "mistake-not-mentioned",
        "hold",
        DROP,
        {"arguments": {"reason": "ordered by mistake"}},
    ),
    ("retail", "address-from-nowhere", "hold", MOVE, said(unspoken=["address1"])),
    ("retail", "another-country", "hold", "modify_user_address", facts(country_changes=True)),
    ("retail", "address-after-items", "hold", MOVE, facts(already_modified=True)),
    (
        "retail",
        "charge-above-limit",
        "hold",
        SWAP,
        facts(amount_kind="charge", amount_cents=50_001),
    ),
    ("retail", "refund-above-limit", "hold", RETURN, facts(amount_cents=250_001)),
    (
        "retail",
        "very-large-amount",
        "hold",
        RETURN,
        facts(amount_kind="other", amount_cents=100_000_001),
    ),
    ("retail", "changed-again-and-again", "hold", DROP, ran(same_resource_before=3)),
]


def question(domain: str, tool: str, changes: dict[str, Any] | None = None) -> Request:
    pack, changes = measure.load_pack(domain), changes or {}
    return Request(
        agent=f"{domain}-model",
        tool=tool,
        domain=domain,
        effect=pack.effects[tool],
        listed=True,
        facts={**clean_facts(domain, tool), **changes.get("facts", {})},
        conversation={**AGREED, **changes.get("conversation", {})},
        run={**FOUND, **changes.get("run", {})},
        arguments=changes.get("arguments", {}),
    )


@pytest.mark.parametrize(("domain", "rule", "answer", "tool", "changes"), CASES)
def test_a_rule_speaks_when_it_should(
    domain: str, rule: str, answer: str, tool: str, changes: dict[str, Any]
) -> None:
    evaluator = measure.load_pack(domain).evaluator

    clean, asked = evaluator.evaluate_batch(
        [question(domain, tool), question(domain, tool, changes)]
    )

    assert [r["id"] for r in clean.rules] == [ALWAYS.get(tool, "tools-of-the-contract")]
    assert rule in [r["id"] for r in asked.rules]
    assert asked.answer == answer


@pytest.mark.parametrize(
    ("tool", "changes"),
    [
        (FLIGHTS, facts(**NOT_CHOSEN) | said(spoken_of=["payment_called"])),
        (FLIGHTS, facts(**{**NOT_CHOSEN, "payment_choices": 1})),
        (FLIGHTS, facts(**{**NOT_CHOSEN, "payment_was_used": True})),
        (FLIGHTS, facts(**{**NOT_CHOSEN, "amount_cents": 0})),
        (BOOK, facts(bags_after=1) | said(signals=["baggage"])),
        (BOOK, facts(bags_after=0, fresh_money_cents=10_000, birth_dates_fit=True)),
        (CANCEL, facts(booked_hours_ago=0)),
        (CANCEL, facts(booked_hours_ago=1) | ran(mutations_before=1)),
    ],
)
def test_what_was_agreed_or_costs_little_is_not_held(tool: str, changes: dict[str, Any]) -> None:
    evaluator = measure.load_pack("airline").evaluator

    assert evaluator.evaluate_batch([question("airline", tool, changes)])[0].answer == "permit"


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_rule_is_left_without_a_case(domain: str) -> None:
    rules = {rule.id for rule in measure.load_pack(domain).evaluator.rules.values()}

    cases = {c[1] for c in CASES if c[0] == domain} - {RULE}
    assert rules == cases | {"tools-of-the-contract"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_hold_is_lifted_by_an_operator(domain: str) -> None:
    evaluator = measure.load_pack(domain).evaluator
    held = [question(domain, c[3], c[4]) for c in CASES if c[0] == domain and c[2] == "hold"]

    verdicts = evaluator.evaluate_batch(held)

    assert {v.roles for v in verdicts} == {("operator",)}
    assert {v.votes for v in verdicts} == {1}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_tool_beyond_the_contract_is_denied(domain: str) -> None:
    pack = measure.load_pack(domain)
    asked = [
        Request(agent="a", tool=t, domain=domain, effect=effect, listed=False)
        for t, effect in pack.effects.items()
    ]

    assert {v.answer.value for v in pack.evaluator.evaluate_batch(asked)} == {"deny"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_policies_fit_the_schema_of_their_tools(domain: str) -> None:
    folder = measure.PACKS / domain
    pack = measure._yaml(folder / "pack.yaml")
    schema = cedar_schema(
        ToolDeclaration(t["name"], t["effect"], t.get("facts") or {}) for t in pack["tools"]
    )
    for path in pack["policies"]:
        document, problems = read_document((folder / path).read_text(encoding="utf-8"))
        assert document is not None
        assert problems == []
        found = check_policies(document.policies, document.limits, schema, ("operator",))
        assert found == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_each_rule_says_what_it_is_for(domain: str) -> None:
    pack = measure._yaml(measure.PACKS / domain / "pack.yaml")
    text = (measure.PACKS / domain / pack["policies"][0]).read_text(encoding="utf-8")
    document, _ = read_document(text)
    assert document is not None

    for rule, _, _ in rules_of(document.policies):
        assert rule.purpose, rule.id
        assert rule.reason, rule.id
        assert rule.is_hold or rule.risk >= 1


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_approver_sees_the_language_that_was_not_understood(domain: str) -> None:
    tool = BAGS if domain == "airline" else RETURN
    words = said(confirmed=False, understood=False, language="Cyrillic script")
    asked = question(domain, tool, words)

    [verdict] = measure.load_pack(domain).evaluator.evaluate_batch([asked])

    assert "Cyrillic script" in str(verdict.rules)
    assert "not understood" in str(verdict.rules)
