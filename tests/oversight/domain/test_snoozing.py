"""For how long a question may be out of somebody's sight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.snoozing import HALF, LEAST, PRESETS, choices, latest, until, words

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
LEFT = st.timedeltas(min_value=timedelta(days=-2), max_value=timedelta(days=9))
MINUTES = st.sampled_from([HALF, *PRESETS])


def after(**left: float) -> datetime:
    return NOW + timedelta(**left)


@pytest.mark.parametrize(
    ("left", "offered"),
    [
        (timedelta(days=3), [15, 60, 1440]),
        (timedelta(hours=4), [15, 60]),
        (timedelta(hours=1), [15]),
        (timedelta(minutes=30), [15]),
        (timedelta(minutes=29), [HALF]),
        (timedelta(minutes=2), [HALF]),
        (timedelta(seconds=119), []),
        (timedelta(0), []),
        (timedelta(minutes=-5), []),
    ],
)
def test_what_is_offered_fits(left: timedelta, offered: list[int]) -> None:
    assert choices(NOW, NOW + left) == offered


def test_as_long_as_asked_for_or_half_of_what_is_left() -> None:
    assert until(60, NOW, after(hours=4)) == after(hours=1)
    assert until(60, NOW, after(hours=1)) == after(minutes=30)
    assert until(HALF, NOW, after(hours=4)) == after(hours=2)


@given(MINUTES, LEFT)
def test_it_comes_back_before_half_of_what_is_left_has_passed(
    minutes: int, left: timedelta
) -> None:
    found = until(minutes, NOW, NOW + left)

    if found is not None:
        assert NOW + LEAST <= found <= latest(NOW, NOW + left) < NOW + left


@given(st.lists(MINUTES, min_size=1, max_size=40), LEFT)
def test_nobody_sleeps_through_it_by_snoozing_again_and_again(
    asked: list[int], left: timedelta
) -> None:
    now, due = NOW, NOW + left
    for minutes in asked:
        found = until(minutes, now, due)
        if found is None:
            break
        now = found

    assert now < due or now == NOW


@given(LEFT)
def test_what_is_offered_can_be_had(left: timedelta) -> None:
    for minutes in choices(NOW, NOW + left):
        assert until(minutes, NOW, NOW + left) is not None


def test_every_choice_has_its_words() -> None:
    assert [words(n) for n in (HALF, *PRESETS)] == [
        "half of the time left",
        "15 min",
        "1 h",
        "1 day",
    ]
