from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.outcomes.domain.counting import BY_STATE, CountsAs
from apps.runs.domain.states import (
    CANCELLABLE,
    LIVE,
    NEEDS_A_PERSON,
    OPEN,
    TERMINAL,
    TRANSITIONS,
    UNDER_WAY,
    UNDOABLE,
    UNSETTLED,
    State,
    is_legal,
)


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


@given(st.sampled_from(sorted(TERMINAL)), st.sampled_from(list(State)))
def test_terminal_states_are_left_for_compensation_or_by_a_person(old: State, new: State) -> None:
    tried_again = (old, new) == (State.FAILED, State.QUEUED)
    assert not is_legal(old, new) or new is State.COMPENSATING or tried_again


@given(st.sampled_from(list(State)))
def test_every_state_that_needs_a_person_can_be_left(state: State) -> None:
    assert state not in NEEDS_A_PERSON or TRANSITIONS[state]


def test_every_open_state_can_reach_an_end() -> None:
    reached = set(TERMINAL)
    while more := {s for s in State if s not in reached and TRANSITIONS[s] & reached}:
        reached |= more

    assert reached == set(State)


def test_named_sets_say_what_they_are_called() -> None:
    assert {s for s, kind in BY_STATE.items() if kind is CountsAs.OPEN} == OPEN
    assert OPEN - {State.COMPENSATING} == CANCELLABLE
    assert UNDER_WAY < LIVE < UNSETTLED < OPEN
    assert {s for s in State if is_legal(s, State.COMPENSATING)} == UNDOABLE | {State.RUNNING}
