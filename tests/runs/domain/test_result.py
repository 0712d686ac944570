from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as having
from hypothesis import settings
from hypothesis import strategies as st

from apps.calls.domain.given import Given, last_given, misfit
from apps.calls.domain.reply import result_tool_name, result_tool_schema
from apps.kernel.schemas import compiled
from apps.runs.domain.outcome import RunEnd
from apps.runs.domain.result import problem
from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import State

HANDED_OVER = RunEnd(State.SUCCEEDED, RunOutcome.HANDED_OVER, "")
RESOLVED = RunEnd(State.SUCCEEDED, "resolved", "")
OUTPUT = compiled({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_the_last_result_counts() -> None:
    assert last_given([]) is None
    assert last_given([{"say": "x"}, {"done": ""}]) is None
    items = [{"result": 1}, {"say": "x"}, {"result": None}, {"done": ""}]
    assert last_given(items) == Given(None), "null is a result"


@pytest.mark.parametrize(
    ("given", "end", "words"),
    [
        (Given({"n": 1}), RESOLVED, ""),
        (Given({"n": 1.0}), RESOLVED, ""),
        (Given({"n": 1.5}), RESOLVED, "result.n: 1.5 is not of type 'integer'"),
        (None, RESOLVED, "no result was given"),
        (None, HANDED_OVER, ""),
        (
            Given({}),
            HANDED_OVER,
            "'n' is a required property",
        ),
        (Given({}), RunEnd(State.FAILED, "denied", "denied"), ""),
    ],
)
def test_only_a_run_that_succeeds_owes_a_result(given: Any, end: RunEnd, words: str) -> None:
    found = problem(OUTPUT, given, end=end)
    assert (words in found) if words else found == ""


def test_an_output_that_requires_nothing_takes_a_run_that_gives_nothing() -> None:
    assert problem(compiled({"type": "object", "properties": {"a": {}}}), None, end=RESOLVED) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"n": float("nan")}, "NaN"),
        ({"n": "a\x00"}, "NUL"),
        ({"n": "\ud800"}, "surrogate"),
        ({1: 2}, "a key that is no text"),
        (b"x", "bytes"),
        ("x" * 100_001, "are the most"),
    ],
)
def test_what_cant_be_kept_as_it_is_isnt_kept(value: Any, words: str) -> None:
    assert words in misfit(compiled({"description": "anything"}), value)


def test_numbers_are_tried_by_their_value() -> None:
    exact = compiled({"multipleOf": 0.01, "maximum": 12345678901234567890})
    assert misfit(exact, Decimal("12345678901234567889.99")) == ""
    assert misfit(exact, Decimal("12345678901234567890.01")) != ""


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    assert misfit(compiled({"description": "anything"}), nested(90)) == ""
    assert "nested" in misfit(compiled({"description": "anything"}), nested(5000))


@settings(deadline=None, max_examples=60)
@having(ANYTHING)
def test_whatever_is_given_is_judged_in_storable_words(value: Any) -> None:
    found = misfit(OUTPUT, value)
    assert isinstance(found, str)
    assert "\x00" not in found
    found.encode()
    assert len(found) < 700


def test_an_expensive_schema_costs_bounded_time() -> None:
    part: dict[str, Any] = {"type": "array", "items": {"$ref": "#"}, "uniqueItems": True}
    value = [[n, [str(n)] * 3] for n in range(2000)]
    began = time.process_time()
    assert misfit(compiled(part), value) != ""
    assert time.process_time() - began < 10


def test_a_tool_of_the_contract_keeps_its_name_beside_the_one_that_gives_results() -> None:
    assert result_tool_name({"look"}) == "final_result"
    assert result_tool_name({"look", "final_result"}) == "final_result_"


def test_a_result_tools_schema_takes_what_the_output_takes() -> None:
    output = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"to": {"$ref": "#/$defs/place"}, "in": {"type": "array", "items": True}},
        "required": ["to"],
        "$defs": {"place": {"properties": {"next": {"$ref": "#"}}, "type": "object"}},
    }
    tool = compiled(result_tool_schema(output))
    assert tool.problems == ()
    assert tool.misfit({"result": {"to": {"next": {"to": {}}}}}) == ""
    assert tool.misfit({"result": {"to": {"next": {}}}}) != ""
    assert tool.misfit({}) != ""
