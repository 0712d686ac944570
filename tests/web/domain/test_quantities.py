"""Durations, moments and money as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.web.domain import quantities as q


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0401, "40 ms"),
        (3.24, "3.2 s"),
        (42.4, "42 s"),
        (64, "1 m 04 s"),
        (7500, "2 h 05 m"),
        (273600, "3 d 4 h"),
        (-64, "-1 m 04 s"),
    ],
)
def test_duration_words(seconds: float, words: str) -> None:
    assert q.duration_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0.5 s"), (90, "1 m 30 s"), (14400, "4 h"), (86400, "1 d"), (90061, "1 d 1 h 1 m 1 s")],
)
def test_what_somebody_set_is_said_to_the_second(seconds: float, words: str) -> None:
    assert q.exact_words(seconds) == words


def test_a_length_without_end_or_without_a_value() -> None:
    assert [q.coarse_words(s) for s in (30, 600, 7200, float("inf"))] == [
        "30 s",
        "10 min",
        "2 h",
        "for ever",
    ]
    assert [q.measured_words(s) for s in (None, float("nan"), 64)] == [q.DASH, q.DASH, "1 m 04 s"]


@pytest.mark.parametrize(
    ("usd", "words"),
    [(None, q.DASH), (0, "$0.00"), (0.0312, "$0.0312"), (4.2, "$4.20"), (1240, "$1,240.00")],
)
def test_small_costs_keep_the_digits_that_tell_them_apart(usd: float | None, words: str) -> None:
    assert q.cost_words(usd) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (12, "12 s ago"),
        (300, "5 min ago"),
        (7300, "2 h ago"),
        (200000, "2 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_ago_words(seconds: int, words: str) -> None:
    assert q.ago_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words", "urgent"),
    [
        (-40, "overdue 40 s", "late"),
        (30, "30 s", "soon"),
        (130, "2 m 10 s", ""),
        (2280, "38 min", ""),
        (7260, "2 h 01 m", ""),
    ],
)
def test_due_words(seconds: int, words: str, urgent: str) -> None:
    left = timedelta(seconds=seconds)

    assert (q.due_words(left), q.urgency(left, None)) == (words, urgent)


def test_a_fifth_of_the_window_is_soon() -> None:
    window = timedelta(hours=4)

    assert q.urgency(timedelta(minutes=47), window) == "soon"
    assert q.urgency(timedelta(minutes=49), window) == ""


@given(st.integers(-(10**17), 10**17))
def test_money_is_exact(cents: int) -> None:
    text = q.money_words(cents)

    assert int(text.replace("$", "").replace(",", "").replace(".", "")) == cents
    assert text.rpartition(".")[2].isdigit()
