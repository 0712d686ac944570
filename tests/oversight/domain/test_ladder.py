"""Whom to call when: each rung once, none too early, and always somebody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.roles import Role
from apps.accounts.registry import allows
from apps.oversight.domain import ladder
from apps.oversight.domain.ladder import BEYOND, CALLED, OVERDUE

ASKED = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = ASKED + timedelta(hours=4)
SPAN = {"asked_at": ASKED, "due_at": DUE}
USUAL = [{"at": 0.5, "to": "operators"}, {"at": 0.8, "to": "lead"}]

shares = st.lists(
    st.floats(0.01, 0.99, allow_nan=False).map(lambda x: round(x, 4)), max_size=6, unique=True
).map(sorted)
ladders = st.builds(
    lambda at, to: [{"at": a, "to": t} for a, t in zip(at, to, strict=False)],
    shares,
    st.lists(st.sampled_from(sorted(CALLED)), min_size=6, max_size=6),
)


def test_every_word_calls_people_who_may_see_the_question() -> None:
    assert all(allows(role, "approvals.view") for role in CALLED.values())
    assert ladder.role_of("operators") == Role.OPERATOR
    assert ladder.role_of("lead") == Role.ADMIN


def test_a_word_that_nobody_knows_calls_somebody() -> None:
    assert ladder.role_of("night shift") == Role.ADMIN
    assert ladder.words_of("night_shift") == "night shift"


@pytest.mark.parametrize(
    ("minutes", "climbed", "numbers"),
    [
        (119, set(), []),
        (120, set(), [0]),
        (120, {0}, []),
        (192, {0}, [1]),
        (200, set(), [0, 1]),
        (240, {0, 1}, [OVERDUE]),
        (999, {0, 1, OVERDUE}, []),
    ],
)
def test_a_rung_is_reached_at_its_share(
    minutes: int, climbed: set[int], numbers: list[int]
) -> None:
    rungs = ladder.rungs(USUAL, stays_open=True)

    found = ladder.reached(rungs, climbed, now=ASKED + timedelta(minutes=minutes), **SPAN)

    assert [r.number for r in found] == numbers


def test_the_window_s_end_calls_the_last_of_the_ladder_or_the_admins() -> None:
    assert ladder.rungs(USUAL, stays_open=True)[-1].to == "lead"
    assert ladder.rungs([], stays_open=True)[-1].to == "admins"
    assert ladder.rungs(USUAL, stays_open=False)[-1].number == 1
    assert ladder.rungs([], stays_open=False) == []


@given(ladders, st.booleans(), st.lists(st.floats(0, 1.5), max_size=12))
def test_however_often_the_sweep_looks_it_climbs_each_rung_once(
    written: list[dict[str, object]], stays_open: bool, looks: list[float]
) -> None:
    rungs = ladder.rungs(written, stays_open=stays_open)
    climbed: list[int] = []
    for share in [*sorted(looks), 2.0]:
        now = ASKED + (DUE - ASKED) * share
        due = ladder.next_moment(rungs, climbed, **SPAN)
        found = ladder.reached(rungs, climbed, now=now, **SPAN)
        assert bool(found) == (due is not None and due <= now)
        assert all(ladder.moment(r, **SPAN) <= now for r in found)
        climbed += [r.number for r in found]

    assert climbed == [r.number for r in rungs]
    assert ladder.next_moment(rungs, climbed, **SPAN) is None


@given(ladders)
def test_a_person_climbs_to_the_end_and_then_nobody_is_left(
    written: list[dict[str, object]],
) -> None:
    climbed: list[int] = []
    called: set[str] = set()
    while rung := ladder.next_by_hand(written, climbed, called):
        assert rung.number not in climbed
        climbed.append(rung.number)
        called.add(rung.role)

    assert Role.ADMIN in called
    assert climbed[: len(written)] == list(range(len(written)))
    assert set(climbed[len(written) :]) <= {BEYOND}


@pytest.mark.parametrize(
    ("role", "by_hand", "first"),
    [("operator", False, False), ("operator", True, True), ("admin", False, True)],
)
def test_who_was_asked_anyway_is_only_reminded_by_the_clock(
    role: str, by_hand: bool, first: bool
) -> None:
    assert ladder.comes_first(role, ["operator"], by_hand=by_hand) is first
