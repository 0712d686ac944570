from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.statements import to_json
from apps.oversight.domain import showing
from apps.oversight.domain.preview import captured, failed, tells

CHANGE = {"path": "/orders/A1/status", "before": "pending", "after": "cancelled"}


def nested(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
HOSTILE = [nested(300), float("inf"), "\ud800", "a\x00b", "x" * 10_000, {"$ref": "#"}, ["", {}]]
ODD = "something that is"
NAMES = ("changes", "facts", "before", "after", "refusal", "unavailable", "said", "notes")


def answers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, values))


def stored(value: Any) -> Any:
    """As the database gives it back."""
    return json.loads(to_json(value))


def test_a_good_answer_is_kept_as_it_came() -> None:
    answer = {
        "before": {"orders": {"A1": {"status": "pending", "total": 10**25}}},
        "after": {"orders": {"A1": {"status": "cancelled", "total": 10**25}}},
        "changes": [CHANGE],
        "refusal": None,
        "facts": {"owner": "ada", "amount_cents": 5, "paid": True, "cards": ["b", "a"]},
    }

    read = captured("dry_run", answer)

    assert read.preview == {name: answer[name] for name in answer if name != "facts"}
    assert read.facts == answer["facts"]
    assert tells(read.preview)


@given(answers(anything | st.sampled_from([*HOSTILE, 10**5_000])))
def test_any_answer_can_be_stored_and_shown(answer: Any) -> None:
    read = captured("dry_run", answer)

    kept = stored(read.preview)
    shown = showing.preview(kept)

    assert shown.error or shown == showing.preview(read.preview)
    assert stored(read.facts) is not None
    assert showing.flags({}, kept) is not None


@given(answers(anything | st.sampled_from(HOSTILE)))
def test_any_preview_of_an_earlier_release_can_be_shown(answer: Any) -> None:
    assert showing.preview(answer).notes is not None
    assert showing.flags(answer, answer) is not None
    assert showing.unknown(answer) == []


@pytest.mark.parametrize(
    ("changes", "said", "entities"),
    [
        (["balance 5 -> 4"], ("balance 5 -> 4",), 0),
        (["balance 5 -> 4", CHANGE], ("balance 5 -> 4",), 1),
        (7, ("7",), 0),
        ("nothing much", ("nothing much",), 0),
        ({"status": "cancelled"}, ("{status: cancelled}",), 0),
        ([None, 5, [CHANGE]], None, 0),
        ([{"path": "/a/b/c"}], ("{path: /a/b/c}",), 0),
        ([{**CHANGE, "path": 5}], None, 0),
    ],
)
def test_changes_in_another_form_are_shown_as_text(
    changes: Any, said: tuple[str, ...] | None, entities: int
) -> None:
    read = captured("dry_run", {"changes": changes})
    shown = showing.preview(stored(read.preview))

    assert said is None or shown.said == said
    assert shown.said
    assert len(shown.entities) == entities
    assert "not in the form" in shown.notes[0]
    assert not tells(read.preview)


@pytest.mark.parametrize(
    "changes",
    [
        [CHANGE] * 100_000,
        ["x"] * 300_000,
        [{**CHANGE, "after": nested(300)}],
        [{**CHANGE, "after": "x" * 5_000_000}],
        {"x" * 5_000_000: 1},
        [{**CHANGE, "after": list(range(500_000))}],
        nested(900),
    ],
    ids=["many", "texts", "deep", "long", "key", "wide", "deeper"],
)
def test_a_huge_answer_is_cut_with_a_note_and_quickly(changes: Any) -> None:
    started = time.process_time()

    read = captured("dry_run", {"changes": changes})

    assert len(to_json(read.preview)) < 300_000
    assert read.preview["notes"]
    assert time.process_time() - started < 1.0  # a hundredth is usual


def test_a_state_that_had_to_be_cut_is_not_kept_at_all() -> None:
    """Undoing writes it back: half of it would be worse than none."""
    read = captured("dry_run", {"before": {"users": {"a": "x" * 10_000}}, "changes": [CHANGE]})

    assert "before" not in read.preview
    assert "nothing can be undone from it" in read.preview["notes"][0]
    assert read.preview["changes"] == [CHANGE]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (1.5, "the number 1.5"),
        (2**63, "a number beyond 64 bits"),
        pytest.param(10**5_000, f"{ODD} a number of more than 4,300 digits", id="digits"),
        (float("nan"), f"{ODD} NaN, which is no number in JSON"),
        ({"amount": 5}, "an object"),
        (["a", 5], "a list that holds something else than texts"),
        ("x" * 5_000_000, "a text of 5,000,000 characters"),
        (["x"] * 5_000, "a list of 5,000 texts"),
    ],
)
def test_what_no_fact_can_be_is_kept_in_words(value: Any, words: str) -> None:
    read = captured("dry_run", {"facts": {"amount_cents": value, "owner": "ada"}, "changes": []})

    assert read.facts == {"owner": "ada"}
    assert read.preview["odd_facts"] == {"amount_cents": words}


def test_a_fact_is_the_same_before_and_after_the_database() -> None:
    read = captured(
        "dry_run", {"facts": {"a": 60_000.0, "b": -0.0, "c": "a\x00\ud800", "d": 2**60}}
    )

    assert read.facts == {"a": 60_000, "b": 0, "c": "a��", "d": 2**60}
    assert stored(read.facts) == read.facts
    assert {type(v) for v in read.facts.values()} == {int, str}


def test_facts_that_are_no_object_are_none() -> None:
    read = captured("dry_run", {"facts": ["amount_cents"], "changes": []})

    assert read.facts == {}
    assert "not an object" in read.preview["notes"][0]


@pytest.mark.parametrize("answer", [None, 5, "done", [], [CHANGE]])
def test_an_answer_that_is_no_object_is_no_preview(answer: Any) -> None:
    shown = showing.preview(captured("dry_run", answer).preview)

    assert "“dry_run” answered" in shown.error
    assert not shown.is_there


def test_a_failure_is_told_with_its_reason() -> None:
    shown = showing.preview(failed("dry_run", "no answer in 10 s").preview)

    assert shown.error == "the dry run “dry_run” gave no answer: no answer in 10 s"


@pytest.mark.parametrize(
    ("preview", "told"),
    [
        ({}, False),
        ({"changes": []}, True),
        ({"changes": [CHANGE]}, True),
        ({"changes": [], "refusal": "closed"}, True),
        ({"refusal": "closed"}, True),
        ({"changes": [], "said": ["?"]}, False),
        ({"changes": 7}, False),
    ],
)
def test_a_preview_tells_when_all_of_its_changes_can_be_read(
    preview: dict[str, Any], told: bool
) -> None:
    assert tells(preview) is told


def test_arguments_nested_at_will_are_listed_whole() -> None:
    listed = showing.values({"deep": nested(900), "plain": 1})

    assert [v.text for v in listed] == ["1", '"bottom"']


def test_what_was_unknown_is_read_from_the_rules() -> None:
    gap = {"name": "owner", "wanted": "text", "came": "nothing"}
    rules = [{"id": "large"}, {"id": "facts-unknown", "unknown": [gap, 5]}, "odd", {"unknown": 3}]

    assert showing.unknown(rules) == [gap]
