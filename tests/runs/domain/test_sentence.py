from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.runs.domain.sentence import render


def test_arguments_and_facts_are_filled_in() -> None:
    said = render("Cancel {order_id} of {facts.owner}", {"order_id": "#W1"}, {"owner": "Ana"})

    assert said == "Cancel #W1 of Ana"


def test_what_is_missing_is_said_to_be_unknown() -> None:
    assert render("Refund {facts.amount}", {}, {}) == "Refund unknown"


@given(st.text())
def test_data_can_not_format_anything(value: str) -> None:
    assert render("To {name}.", {"name": value}, {}) == f"To {value}."
