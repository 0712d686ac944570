"""What a run counts as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outcomes.domain.counting import (
    BY_OUTCOME,
    BY_STATE,
    FINISHED,
    VERDICTS,
    WORDS,
    CountsAs,
    Share,
    counts_as,
    is_timed,
    shown_as,
)
from apps.outcomes.domain.tally import Cell, tally
from apps.runs.domain.states import TERMINAL, State

OUTCOMES = ("", "resolved", "handed_over", "denied", "escalated", "compensated", "cancelled")
cells = st.lists(
    st.builds(
        Cell,
        state=st.sampled_from([str(s) for s in State]),
        outcome=st.sampled_from(OUTCOMES),
        runs=st.integers(1, 50),
    )
)


@pytest.mark.parametrize("state", list(State))
def test_every_state_counts_as_something_and_what_has_not_ended_is_open(state: State) -> None:
    assert state in BY_STATE
    assert (counts_as(state, "") is CountsAs.OPEN) == (state not in TERMINAL)
    assert set(WORDS) == set(CountsAs)


@pytest.mark.parametrize(
    ("state", "outcome", "kind"),
    [
        ("succeeded", "resolved", CountsAs.SUCCESS),
        ("succeeded", "", CountsAs.SUCCESS),
        ("succeeded", "handed_over", CountsAs.HANDED_OVER),
        ("failed", "handed_over", CountsAs.FAILURE),
        ("compensated", "handed_over", CountsAs.FAILURE),
        ("failed", "escalated", CountsAs.FAILURE),  # as runs ended before hand-overs
        ("shed", "shed", CountsAs.FAILURE),
        ("cancelled", "cancelled", CountsAs.CANCELLED),
        ("confirmation_unknown", "", CountsAs.OPEN),
        ("of tomorrow", "", CountsAs.OPEN),
    ],
)
def test_what_a_run_counts_as(state: str, outcome: str, kind: CountsAs) -> None:
    assert counts_as(state, outcome) is kind


def test_only_who_ended_by_its_own_work_says_how_long_it_takes() -> None:
    timed = {(s, o) for s in map(str, State) for o in OUTCOMES if is_timed(s, o)}

    assert timed == {("failed", o) for o in OUTCOMES} | {
        ("succeeded", o) for o in OUTCOMES if o != "handed_over"
    }


def test_charts_show_what_was_handed_over_apart() -> None:
    assert shown_as("succeeded", "handed_over") == "handed_over"
    assert shown_as("succeeded", "resolved") == "succeeded"
    assert shown_as("failed", "denied") == "failed"
    assert {state for state, _ in BY_OUTCOME} <= {str(s) for s in State}


@given(cells)
def test_each_run_is_counted_once(found: list[Cell]) -> None:
    all_of_them = tally(found)

    parts = (all_of_them.succeeded, all_of_them.failed, all_of_them.handed_over)
    assert sum(parts) + all_of_them.cancelled + all_of_them.open == all_of_them.runs
    assert all_of_them.finished == all_of_them.succeeded + all_of_them.failed
    assert all_of_them.open >= 0


@given(cells, st.integers(0, 40), st.integers(0, 40))
def test_neither_hand_overs_nor_withdrawals_move_the_share(
    found: list[Cell], handed: int, cancelled: int
) -> None:
    more = [
        Cell(state="succeeded", outcome="handed_over", runs=handed),
        Cell(state="cancelled", outcome="cancelled", runs=cancelled),
    ]

    assert tally([*found, *more]).success == tally(found).success
    assert tally([*found, *more]).handed_over == tally(found).handed_over + handed


@pytest.mark.parametrize(
    ("share", "target", "verdict"),
    [
        (Share(19, 19), 0.5, "too few"),
        (Share(0, 0), 0.5, "too few"),
        (Share(50, 100), None, "too few"),
        (Share(50, 100), 0.9, "under"),
        (Share(88, 100), 0.9, "maybe under"),
        (Share(92, 100), 0.9, "maybe met"),
        (Share(99, 100), 0.9, "met"),
    ],
)
def test_a_share_is_held_against_its_target_with_its_interval(
    share: Share, target: float | None, verdict: str
) -> None:
    assert share.against(target) == verdict
    assert verdict in VERDICTS
    assert FINISHED == (CountsAs.SUCCESS, CountsAs.FAILURE)
