from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.exactjson import check, same
from apps.policy.domain.request import (
    CONVERSATION,
    RUN,
    Request,
    scalar_arguments,
    scalar_text,
    typed,
)
from tests.kernel.numerals import literals, texts
from tests.policy.texts import refund

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5)
names = st.sampled_from(["amount_cents", "own", "confirmed", "signals", "steps", "other"])
values = st.dictionaries(names, scalars | st.lists(st.text(max_size=3), max_size=3))
arguments_names = st.sampled_from(["a", "a=b", "b", '"a"', "a=1"]) | texts
arguments_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | literals().map(Decimal)
    | texts
    | st.sampled_from(["9", "true", "1=2", '"x"', "9.0"])
)
requests = st.builds(
    refund,
    facts=values,
    conversation=values,
    run=values,
    approvals=st.frozensets(st.sampled_from(["operator", "lead"])),
)


@given(requests)
def test_a_stored_request_asks_the_same_again(request: Request) -> None:
    stored = json.loads(json.dumps(request.to_json()))

    again = Request.from_json(stored)

    assert again.to_json() == stored
    assert again.digest() == request.digest()


@given(requests)
def test_context_holds_every_attribute_with_its_type(request: Request) -> None:
    context = request.context({"amount_cents": "long", "own": "bool"}, {"most": 1})

    assert set(context["conversation"]) == set(CONVERSATION)
    assert set(context["run"]) == set(RUN)
    assert set(context["facts"]) <= {"amount_cents", "own"}
    assert type(context["facts"].get("amount_cents", 0)) is int
    assert type(context["conversation"]["confirmed"]) is bool
    assert type(context["run"]["steps"]) is int


def test_a_value_of_another_type_is_not_known() -> None:
    types = {"a": "bool", "b": "long", "c": "string", "d": "set", "e": "long"}
    found: dict[str, Any] = {"a": 1, "b": True, "c": None, "d": "x", "e": 2**63}

    assert typed(found, types) == {}


def test_unknown_keys_of_a_stored_request_are_left_out() -> None:
    stored = {**refund().to_json(), "mood": "good"}

    assert Request.from_json(stored) == Request.from_json(refund().to_json())


def test_scalar_arguments_are_pairs() -> None:
    arguments = {"b": True, "n": 3, "s": "x", "deep": {"k": 1}, "l": [1], "z": None}

    assert scalar_arguments(arguments) == ["b=true", "n=3", "s=x", "z=null"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9, "9"),
        (9.0, "9"),
        (Decimal("9.00"), "9"),
        ("9", '"9"'),
        ("9.0", '"9.0"'),
        ("-9e3", '"-9e3"'),
        ("true", '"true"'),
        ("null", '"null"'),
        (-0.0, "0"),
        (1e-7, "0.0000001"),
        (10**30, "1" + "0" * 30),
        ("#W123", "#W123"),
        ("2024-05-20", "2024-05-20"),
        ('"9"', '"\\"9\\""'),
        ("ordered by mistake", "ordered by mistake"),
        ("", ""),
    ],
)
def test_a_number_is_its_value_and_text_is_never_one(value: object, text: str) -> None:
    assert scalar_text(value) == text


@given(st.dictionaries(arguments_names, arguments_values, min_size=1, max_size=1), st.data())
def test_different_arguments_never_read_alike(one: dict[str, Any], data: Any) -> None:
    other = data.draw(st.dictionaries(arguments_names, arguments_values, min_size=1, max_size=1))
    one, other = check(one), check(other)

    assert (scalar_arguments(one) == scalar_arguments(other)) == same(one, other)


@pytest.mark.parametrize("value", [60000, 60000.0, Decimal("6E4"), Decimal("60000.00")])
def test_a_whole_number_is_a_long_however_it_is_spelled(value: object) -> None:
    assert typed({"amount_cents": value}, {"amount_cents": "long"}) == {"amount_cents": 60000}


@pytest.mark.parametrize(
    "value", ["60000", True, None, 60000.5, 2**63, -(2**63) - 1, 1e300, float("nan"), [60000]]
)
def test_nothing_else_is_a_long(value: object) -> None:
    assert typed({"amount_cents": value}, {"amount_cents": "long"}) == {}


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_a_long_has_the_range_of_the_language(value: int) -> None:
    assert typed({"n": value}, {"n": "long"}) == {"n": value}
