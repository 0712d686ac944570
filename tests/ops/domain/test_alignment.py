from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ops.domain import alignment
from apps.ops.domain.alignment import Compared, End, Key, align, differences, divergence

KEYS = st.tuples(st.sampled_from("xyz"), st.sampled_from("12"))
RUNS = st.lists(KEYS, max_size=8)
OVER = End("succeeded", "resolved")


def best_worth(left: Sequence[Key], right: Sequence[Key]) -> int:
    """The most that any alignment is worth, by trying all of them."""
    if not left or not right:
        return 0
    worth = 4 if left[0] == right[0] else 1 if left[0][0] == right[0][0] else 0
    paired = worth + best_worth(left[1:], right[1:]) if worth else 0
    return max(paired, best_worth(left[1:], right), best_worth(left, right[1:]))


@given(RUNS, RUNS)
def test_every_step_stands_once_and_in_order(left: list[Key], right: list[Key]) -> None:
    pairs = align(left, right)

    assert [i for i, _ in pairs if i is not None] == list(range(len(left)))
    assert [j for _, j in pairs if j is not None] == list(range(len(right)))
    assert (None, None) not in pairs


@given(st.lists(KEYS, max_size=5), st.lists(KEYS, max_size=5))
def test_no_other_alignment_is_worth_more(left: list[Key], right: list[Key]) -> None:
    met = [(left[i], right[j]) for i, j in align(left, right) if i is not None and j is not None]

    assert all(one[0] == other[0] for one, other in met)
    assert sum(4 if one == other else 1 for one, other in met) == best_worth(left, right)


@given(RUNS)
def test_a_run_is_aligned_with_itself_step_by_step(run: list[Key]) -> None:
    assert align(run, run) == [(i, i) for i in range(len(run))]


@given(RUNS, RUNS, RUNS)
def test_branches_part_where_their_common_past_ends(
    past: list[Key], left: list[Key], right: list[Key]
) -> None:
    pairs = align([*past, *left], [*past, *right])

    assert pairs[: len(past)] == [(i, i) for i in range(len(past))]


@given(RUNS, RUNS)
def test_very_long_runs_are_matched_by_equal_calls_only(left: list[Key], right: list[Key]) -> None:
    pairs = alignment._blocks(left, right)

    assert [i for i, _ in pairs if i is not None] == list(range(len(left)))
    assert [j for _, j in pairs if j is not None] == list(range(len(right)))
    assert all(left[i] == right[j] for i, j in pairs if i is not None and j is not None)


def test_ten_thousand_steps_are_aligned_at_once() -> None:
    one = [("look", str(n)) for n in range(10_000)]
    other = [*one[:5_000], ("move", "x"), *one[5_000:]]

    assert align(one, other)[5_000] == (None, 5_000)


def step(seq: int = 3, **changes: object) -> Compared:
    values = {"tool": "move", "digest": "1", "became": "executed", "gate": "permit", "answer": "ok"}
    return Compared(seq, **{**values, **changes})  # type: ignore[arg-type]  # fields by name


def test_what_was_inherited_is_as_good_as_done() -> None:
    assert differences(step(), step(became="inherited")) == ()
    assert differences(step(became="deduplicated"), step(became="inherited")) == ()
    assert differences(step(rules=("a",)), step(became="inherited", rules=None)) == ()


@pytest.mark.parametrize(
    ("changes", "found", "sentence"),
    [
        ({"digest": "2"}, "arguments", "Both proposed “move” at step 3 with different arguments."),
        ({"gate": "hold"}, "gate", "the gate answered permit in A, hold in B"),
        ({"rules": ("r", "s")}, "rules", "the same answer of the gate had different reasons"),
        ({"became": "refused_by_tool"}, "became", "executed in A and refused by tool in B"),
        ({"answer": "no"}, "answer", "the tool answered differently"),
    ],
)
def test_the_first_divergence_is_said_plainly(
    changes: dict[str, object], found: str, sentence: str
) -> None:
    one, other = step(rules=("r",)), step(**{"rules": ("r",), **changes})

    assert differences(one, other) == (found,)
    index, said = divergence([(step(1), step(1)), (one, other), (None, step(9))], OVER, OVER)
    assert index == 1
    assert sentence in said


def test_a_step_that_only_one_run_took() -> None:
    assert divergence([(None, step(4))], OVER, OVER) == (
        0,
        "B proposed “move” at step 4; A did not.",
    )
    assert "A proposed “move” at step 4; B did not." in divergence([(step(4), None)], OVER, OVER)[1]


def test_runs_that_are_alike_may_end_differently() -> None:
    pairs = [(step(), step(4))]

    assert divergence(pairs, OVER, OVER)[0] is None
    assert "same end" in divergence(pairs, OVER, OVER)[1]
    assert "A is resolved and B is running" in divergence(pairs, OVER, End("running", ""))[1]
