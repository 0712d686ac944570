from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.policy.domain.request import CONVERSATION, RUN, Request, scalar_arguments, typed
from tests.policy.texts import refund

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5)
names = st.sampled_from(["amount_cents", "own", "confirmed", "signals", "steps", "other"])
values = st.dictionaries(names, scalars | st.lists(st.text(max_size=3), max_size=3))
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
    found: dict[str, Any] = {"a": 1, "b": True, "c": None, "d": "x", "e": 2**60}

    assert typed(found, types) == {}


def test_unknown_keys_of_a_stored_request_are_left_out() -> None:
    stored = {**refund().to_json(), "mood": "good"}

    assert Request.from_json(stored) == Request.from_json(refund().to_json())


def test_scalar_arguments_are_pairs() -> None:
    assert scalar_arguments(
        {"b": True, "n": 3, "s": "x", "deep": {"k": 1}, "l": [1], "z": None}
    ) == [
        "b=true",
        "n=3",
        "s=x",
    ]
