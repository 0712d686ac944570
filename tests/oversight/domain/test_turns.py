"""The turns of an agent's questions, whatever it asks and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.turns import WITHIN, next_turns

START = datetime(2026, 11, 28, tzinfo=UTC)
# How many ask at once, and seconds until others do.
bursts = st.lists(
    st.tuples(st.integers(min_value=1, max_value=9), st.floats(min_value=0, max_value=200)),
    max_size=12,
)


@given(bursts=bursts, most=st.integers(min_value=1, max_value=6))
def test_no_minute_has_more_than_it_may_and_nobody_waits_without_need(
    bursts: list[tuple[int, float]], most: int
) -> None:
    turns: list[datetime] = []
    now = START
    for count, pause_s in bursts:
        for turn in next_turns(turns[-most:], count, now=now, most=most):
            assert turn >= now
            if turn > now:
                before = [at for at in turns if turn - WITHIN <= at < turn or at == turn]
                assert len(before) >= most, "it waits although there was room"
            assert not turns or turn >= turns[-1], "whoever came later is asked first"
            turns.append(turn)
        now += timedelta(seconds=pause_s)

    for n, at in enumerate(turns[most:]):
        assert at - turns[n] >= WITHIN


@given(
    bursts=bursts,
    most=st.integers(min_value=1, max_value=6),
    ended=st.lists(st.sets(st.integers(min_value=0, max_value=40)), max_size=12),
)
def test_what_ended_runs_give_back_lets_no_minute_have_more(
    bursts: list[tuple[int, float]], most: int, ended: list[set[int]]
) -> None:
    turns: list[datetime] = []
    now = START
    for n, (count, pause_s) in enumerate(bursts):
        given = next_turns(turns, count, now=now, most=most)
        assert given == sorted(given)
        turns += given
        now += timedelta(seconds=pause_s)
        gone = ended[n] if n < len(ended) else set()
        turns = [at for place, at in enumerate(turns) if place not in gone or at <= now]

    turns.sort()
    for n, at in enumerate(turns[most:]):
        assert at - turns[n] >= WITHIN


def test_an_agent_that_asks_now_and_then_never_waits() -> None:
    taken = [START - timedelta(minutes=n) for n in range(1, 50)]

    assert next_turns(taken, 1, now=START, most=1) == [START]


def test_the_next_come_a_minute_after_those_before_them() -> None:
    given = next_turns([], 5, now=START, most=2)

    assert [at - START for at in given] == [WITHIN * n for n in (0, 0, 1, 1, 2)]


def test_where_turns_were_given_back_the_next_ones_stay_in_order() -> None:
    left = [START, START, START + 4 * WITHIN]

    given = next_turns(left, 3, now=START, most=2)

    assert [at - START for at in given] == [WITHIN * n for n in (1, 2, 3)]
