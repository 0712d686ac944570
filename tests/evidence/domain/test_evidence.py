from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evidence.domain.evidence import (
    Hearing,
    PastStep,
    agreed,
    agrees,
    conversation_facts,
    hearing,
    missing_values,
    quotes,
    resource_of,
    run_facts,
)
from apps.evidence.domain.spoken import amount_forms, date_forms, value_forms
from apps.kernel.exactjson import Number, check, loads, number_text
from tests.kernel.numerals import literals

ASKED = ("agent", "I will cancel order #A17 and refund $40.00. Shall I proceed (yes/no)?")


@pytest.mark.parametrize(
    "words",
    [
        "Yes",
        "yes please",
        "Yes, please go ahead.",
        "Sure, that works for me!",
        "Okay, go ahead and book it",
        "Um, yes — please do.",
        "That's correct. Please proceed.",
        "Sounds good, thank you!",
        "Yes, no other changes needed.",
        "Yes, do it. How long will the refund take?",
        "I confirm.",
        "1) Yes, cancel it.",
        "**YES** \u2013 please proceed as outlined",
        "No changes to the rest. Yes, go ahead with the order.",
    ],
)
def test_clear_words_agree(words: str) -> None:
    assert agrees(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "No",
        "No, thanks.",
        "Not yet",
        "Yes, but use my other card",
        "Yes, if there is no fee",
        "Could you go ahead and tell me the price?",
        "What would it cost?",
        "Wait, which order is that?",
        "Yes. But first tell me the total.",
        "Yes, that's fine. Actually, I changed my mind.",
        "Please don't cancel it",
        "I want to cancel my order",
        "Can you confirm that?",
        "Before we proceed, is there a fee?",
        "yesterday I ordered a lamp",
        "I'd prefer the blue one instead",
    ],
)
def test_doubtful_words_do_not_agree(words: str) -> None:
    assert not agrees(words)


@given(st.text())
def test_any_text_is_read(words: str) -> None:
    assert isinstance(agrees(words), bool)


@given(st.sampled_from(["Yes", "Sure", "Go ahead"]), st.sampled_from([" ", "\n", "  "]))
def test_a_refusal_after_a_yes_wins(yes: str, space: str) -> None:
    assert agrees(f"{yes}.")

    assert not agrees(f"{yes}.{space}No, wait.")


def test_naming_a_card_keeps_an_earlier_yes() -> None:
    assert agreed(["Yes, go ahead.", "Use the card ending in 1234, please."])
    assert not agreed(["Yes, go ahead.", "Also cancel the other order."])
    assert not agreed(["Yes, go ahead.", "What will it cost?"])
    assert not agreed([])


def test_conversation_facts_of_a_confirmed_cancellation() -> None:
    messages = [
        ("customer", "I am kim_1. Cancel order #A17, I fell ill."),
        ASKED,
        ("customer", "Yes, please."),
    ]

    found = conversation_facts(
        messages,
        {"health": r"\b(ill|sick)\b", "weather": "storm", "broken": "("},
        arguments={"order_id": "#A17", "reason": "no longer needed"},
        facts={"amount_cents": 4000, "owner": "kim_1"},
    )

    assert found == {
        "confirmed": True,
        "understood": True,
        "language": "English",
        "agent_asked": True,
        "customer_messages": 2,
        "signals": ["health"],
        "spelled_out": False,
        "price_quoted": True,
        "unspoken": ["reason"],
        "customer_named": ["order_id", "owner"],
        "spoken_of": [],
    }


def test_a_signal_that_cannot_be_tried_is_told_apart_from_one_that_was_not_heard() -> None:
    said = [("customer", "I fell ill."), ("agent", "A storm?")]
    signals = {"health": r"\bill\b", "storm": "storm", "broken": "(", "around": "(?=I)"}

    assert hearing(said, signals) == Hearing(frozenset({"health"}), ("broken", "around"))


def test_signals_take_linear_time_whatever_customer_and_contract_write() -> None:
    said = [("customer", "a" * 71 + "b" + "a " * 20_000)]
    started = time.process_time()

    assert hearing(said, {"evil": "(a|aa)+$", "nested": "^(([a-z ])+.)+[A-Z]([a-z])+$"}) == Hearing(
        frozenset()
    )
    assert time.process_time() - started < 5


def test_more_than_can_be_tried_is_unknown_and_not_unheard() -> None:
    said = [("customer", "a complaint, " + "é" * 2_100_000)]

    assert hearing(said, {"complaint": "complaint"}).untried == ("complaint",)


@pytest.mark.parametrize(
    ("customer", "agent", "spoken"),
    [
        ("Use the card ending in 7238, please.", "Which card?", True),
        ("Yes", "I would charge your Gift Card. All right?", True),
        ("Yes", "I would charge your card. All right?", False),
        ("My booking is 472389.", "Which card?", False),
        ("It is $1,200 or $12.50", "Which card?", False),
        ("the one with $12.", "Which card?", True),
    ],
)
def test_a_thing_is_spoken_of_by_any_of_its_names_as_whole_words(
    customer: str, agent: str, spoken: bool
) -> None:
    messages = [("agent", agent), ("customer", customer)]
    facts = {"payment_called": ["card_9", "7238", "gift card", "$12"], "owner": "kim_1"}

    found = conversation_facts(messages, {}, arguments={}, facts=facts)

    assert found["spoken_of"] == (["payment_called"] if spoken else [])


def test_a_yes_to_nothing_is_no_confirmation() -> None:
    messages = [("agent", "Your order has left our warehouse."), ("customer", "Yes, perfect")]

    assert not conversation_facts(messages, {}, arguments={})["confirmed"]
    assert not conversation_facts([("customer", "Yes")], {}, arguments={})["confirmed"]
    assert not conversation_facts([], {}, arguments={})["confirmed"]


def test_a_yes_that_nobody_vouches_for_confirms_nothing_and_is_read_all_the_same() -> None:
    said = [("agent", "Cancel order W1 for $5? Please say yes."), ("customer", "Yes, go ahead.")]

    vouched = conversation_facts(said, {}, arguments={})
    alone = conversation_facts(said, {}, arguments={}, is_attested=False)

    assert vouched["confirmed"]
    assert alone == {**vouched, "confirmed": False}


@pytest.mark.parametrize(
    "said",
    [
        "Flight XY12 on 2031-03-04 for Ann Lee with two bags",
        "flight **XY12**, March 4, Ann Lee, 2 bags",
        "XY12 (4 March), Ann Lee, 2 bags",
        "XY12 le 4 mars pour Ann Lee, 2 bagages",
        "XY12 am 4. März für Ann Lee, 2 Koffer",
        "XY12 el 4 de marzo para Ann Lee, 2 maletas",
    ],
)
def test_values_count_in_any_usual_form(said: str) -> None:
    arguments = {
        "user_id": "never spoken",
        "flights": [{"flight_number": "XY12", "date": "2031-03-04"}],
        "passengers": [{"first_name": "Ann", "last_name": "Lee"}],
        "bags": 2,
    }

    assert missing_values(said, arguments) == []
    assert set(missing_values("", arguments)) == {"flights", "passengers", "bags"}


@given(st.dates())
def test_a_date_is_spoken_as_written(day: object) -> None:
    assert str(day) in date_forms(str(day))


@given(st.integers(min_value=1, max_value=10**9))
def test_an_amount_is_quoted_in_each_of_its_forms(cents: int) -> None:
    for form in amount_forms(cents):
        assert quotes(f"It costs ${form}.", {"amount_cents": cents})
    assert quotes(f"It costs ${cents / 100:,.2f}.", {"amount_cents": cents})
    assert not quotes("It costs nothing.", {"amount_cents": cents})


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        (3, ["3", "3", "three"]),
        (1234567, ["1234567", "1,234,567"]),
        (45.2, ["45.2", "45.20", "45.20"]),
        (-1234.5, ["-1234.5", "-1234.50", "-1,234.50"]),
        (0, []),
        (10**12, ["1000000000000", "1,000,000,000,000"]),
        (Decimal("123456789012345.123"), ["123456789012345.123"] * 2 + ["123,456,789,012,345.123"]),
    ],
)
def test_a_number_is_said_in_one_of_its_forms(value: Number, forms: list[str]) -> None:
    assert value_forms("amount", value) == forms


@given(literals())
def test_no_number_is_too_long_to_be_looked_for(text: str) -> None:
    value = loads(text)

    assert missing_values(f"We move {number_text(value)}.", {"n": value}) == []


def test_calls_about_equal_numbers_are_about_one_thing() -> None:
    assert resource_of({"order_id": check(60000.0)}) == resource_of({"order_id": 60000})
    assert resource_of({"order_id": "60000"}) != resource_of({"order_id": 60000})
    step = PastStep(1, "pay", "write", "executed", {"order_id": 10**30})
    found = run_facts([step], tool="pay", arguments={"order_id": check(1e30)})
    assert (found["same_resource_before"], found["seen"]) == (1, ["1" + "0" * 30])


def test_no_money_needs_no_quote() -> None:
    assert quotes("", {"amount_cents": 0})
    assert quotes("", {})


def test_run_facts_count_what_was_carried_out() -> None:
    steps = [
        PastStep(1, "find", "read", "executed", {"email": "a@b.c"}, {"content": '"kim_1"'}),
        PastStep(2, "cancel", "irreversible", "executed", {"order_id": "#A17"}),
        PastStep(3, "cancel", "irreversible", "denied", {"order_id": "#A18"}),
        PastStep(4, "cancel", "irreversible", "deduplicated", {"order_id": "#A17"}),
        PastStep(5, "cancel", "irreversible", "rejected", {"order_id": "#A17"}),
        PastStep(6, "cancel", "irreversible", "rejected", {"order_id": "#A19"}),
    ]

    found = run_facts(steps, tool="cancel", arguments={"order_id": "#A17"})

    assert found == {
        "same_tool_before": 1,
        "same_resource_before": 1,
        "mutations_before": 1,
        "reads_before": ["find"],
        "seen": ["#A17", "#A18", "#A19", "a@b.c"],
        "answers": ["kim_1"],
        "refused_before": 3,
        "same_resource_rejected": 1,
        "steps": 6,
    }


def test_a_conversation_in_french_confirms_what_was_spelled_out() -> None:
    messages = [
        (
            "customer",
            "Bonjour, je suis kim_1. Je voudrais annuler ma commande #A17, je suis malade.",
        ),
        (
            "agent",
            "Je vais annuler la commande #A17 et rembourser 40,00 $. Souhaitez-vous continuer ?",
        ),
        ("customer", "Oui, je confirme. Allez-y, s\u2019il vous plaît."),
    ]

    found = conversation_facts(
        messages, {"health": r"\b(ill|malade)\b"}, arguments={"order_id": "#A17"}
    )

    assert (found["confirmed"], found["spelled_out"], found["language"]) == (True, True, "French")
    assert found["signals"] == ["health"]
