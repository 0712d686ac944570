from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.sentence import render
from apps.kernel.exactjson import loads
from tests.kernel.numerals import literals


def test_arguments_and_facts_are_filled_in() -> None:
    said = render("Cancel {order_id} of {facts.owner}", {"order_id": "#W1"}, {"owner": "Ana"})

    assert said == "Cancel #W1 of Ana"


def test_what_is_missing_is_said_to_be_unknown() -> None:
    assert render("Refund {facts.amount}", {}, {}) == "Refund unknown"


@given(st.text())
def test_data_can_not_format_anything(value: str) -> None:
    assert render("To {name}.", {"name": value}, {}) == f"To {value}."


@given(literals())
def test_a_number_is_told_with_every_digit(text: str) -> None:
    said = render("Move {n}.", {"n": loads(text)}, {})

    assert Decimal(said.removeprefix("Move ").removesuffix(".")) == Decimal(text)
    assert "e" not in said.removeprefix("Move").lower()


def test_numbers_are_told_as_people_write_them() -> None:
    told = render("{a}, {b}, {c}", {"a": 1e-7, "b": 60000.0, "c": [10**30]}, {})

    assert told == "0.0000001, 60000, 1000000000000000000000000000000"
