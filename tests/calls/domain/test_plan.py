"""Which later changes of a plan the one at hand makes impossible."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain import plan
from apps.calls.domain.plan import Later

SCRIPT: list[dict[str, Any]] = [
    {"hear": "Return it, and exchange it."},
    {"call": {"tool": "return", "args": {"n": 1}}},
    {"say": "Done. Now the exchange."},
    {"call": {"tool": "exchange", "args": {"n": 1}}},
    {"hear": "And my address."},
    {"call": {"tool": "move", "args": {}}},
    {"done": "x"},
    {"call": {"tool": "never", "args": {}}},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def later(*tools: str) -> list[Later]:
    return [Later(tool, {}, tool, f"Do {tool}") for tool in tools]


@pytest.mark.parametrize(
    ("cursor", "up_to_hear", "tools"),
    [
        (2, False, ["exchange", "move"]),
        (2, True, ["exchange"]),
        (4, True, []),
        (6, False, []),
        (99, False, []),
    ],
)
def test_a_plan_is_what_stands_in_the_script(
    cursor: int, up_to_hear: bool, tools: list[str]
) -> None:
    found = plan.calls_ahead(SCRIPT, cursor, up_to_hear=up_to_hear)

    assert [call.tool for call in found] == tools


def test_only_what_this_change_makes_impossible_is_a_clash() -> None:
    three = later("a", "b", "c")

    found = plan.clashes(three, ["gone", None, "gone"], [None, None, "gone anyway"])

    assert [(c.later.tool, c.refusal, c.is_sure) for c in found] == [("a", "gone", True)]


def test_what_nobody_could_tell_apart_is_a_clash_and_says_so() -> None:
    found = plan.clashes(later("a", "b"), [None, "gone"], None)

    kept = [c.kept() for c in found]
    assert [(c.later.tool, c.is_sure) for c in found] == [("b", False)]
    assert "could not be found out" in plan.question(kept)
    assert "“Do b” would then be refused (gone)" in plan.question(kept)


def test_an_approval_is_bound_to_what_it_makes_impossible() -> None:
    one, two = ([c.kept() for c in plan.clashes(later(t), ["no"], [None])] for t in ("a", "b"))

    assert plan.bound(one) != plan.bound(two)
    assert plan.bound(one) == [["a", "a"]]


@given(JSON, st.integers(1, 4))
def test_whatever_a_dry_run_answers_is_read_or_counts_as_no_answer(answer: Any, count: int) -> None:
    for found in (plan.refusals(answer, count), plan.without(answer, count)):
        assert found is None or len(found) == count


@given(st.lists(JSON, min_size=1, max_size=4))
def test_every_refusal_is_words_that_can_be_kept(said: list[Any]) -> None:
    found = plan.refusals({"then": [{"refusal": one} for one in said]}, len(said))

    assert found is not None
    for one, words in zip(said, found, strict=True):
        assert (words is None) == (one is None or one is False or one == "")
        assert words is None or (0 < len(words) <= plan.REFUSAL_CHARACTERS and "\0" not in words)
