"""What is said of an edit: to people value by value, to the agent argument by argument."""

from __future__ import annotations

import pytest

from apps.kernel import exactjson
from apps.oversight.domain import editing

BEFORE = {"amount": 5000, "to": {"name": "Ida", "bank": "x"}, "note": "twice"}


def test_each_value_that_changed_came_or_went_is_a_difference() -> None:
    after = {"amount": 4999.5, "to": {"name": "Ida", "bank": "y"}, "fee": None}

    found = [(c.path, c.before, c.after) for c in editing.differences(BEFORE, after)]

    assert sorted(found) == [
        ("amount", "5000", "4999.5"),
        ("fee", None, "null"),
        ("note", '"twice"', None),
        ("to.bank", '"x"', '"y"'),
    ]


def test_no_difference_hides_behind_what_is_long_or_has_its_name() -> None:
    before = {"a": "x" * 300_000, "b": 1, "to.id": 1, "to": {"id": 2}}
    after = {"a": "y" * 300_000, "b": 2, "to.id": 3, "to": {"id": 2}}

    found = {c.path: (c.before, c.after) for c in editing.differences(before, after)}

    assert found.keys() == {"a", "b", "to.id"}
    assert found["b"] == ("1", "2")
    assert found["to.id"] == ("1, 2", "3, 2")
    assert (found["a"][0] or "").endswith("… (290,002 more characters)")


def test_of_very_many_differences_it_says_how_many_more() -> None:
    before, after = dict.fromkeys(map(str, range(1_005)), 1), dict.fromkeys(map(str, range(1_005)))
    assert editing.differences(before, after)[-1].path == "and 5 more"


def test_a_number_is_its_value_and_a_text_is_none() -> None:
    assert editing.changed_names({"n": 5}, exactjson.loads('{"n": 5.0}')) == []
    assert editing.changed_names({"n": 5}, {"n": "5"}) == ["n"]
    assert editing.changed_names({"n": None}, {}) == ["n"]
    assert editing.changed_names({"n": 1}, {"n": True}) == ["n"]


def test_the_agent_hears_what_became_of_its_proposal_and_why() -> None:
    after = {"amount": 4000, "to": BEFORE["to"], "fee": 1}

    assert editing.told("refund", BEFORE, after, ["half of it was used"]) == (
        "A person edited “refund” before it was decided. Changed: amount is 4000 (you proposed"
        ' 5000); fee is 1 (you proposed none); note was left out (you proposed "twice").'
        " Why: “half of it was used”"
    )


def test_what_is_long_is_cut() -> None:
    many = {f"a{n:03}": "x" * 5000 for n in range(50)}

    said = editing.told("refund", {}, many, ["y" * 5000])

    assert "and 30 more" in said
    assert len(said) < 10_000


@pytest.mark.parametrize(
    ("risk", "votes", "had"),
    [
        (3, 1, ""),
        (4, 1, "edited it, and it is critical"),
        (2, 2, "edited it, and it needs more than one person"),
    ],
)
def test_when_an_edit_needs_another_person(risk: int, votes: int, had: str) -> None:
    assert editing.needs_another(risk=risk, votes=votes) == had
