"""Chains of stand-ins: how far they reach, that none runs in a circle, and what may be planned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.oversight.domain.away import (
    AHEAD,
    LINKS,
    LONGEST,
    PLANNED_MOST,
    TimeAway,
    away_at,
    fault,
    inherited,
    stand_in_of,
    stood_in_for,
)

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
DAY = timedelta(days=1)
PEOPLE = st.integers(0, 6)
AWAY = st.dictionaries(PEOPLE, st.none() | PEOPLE)


def time(person: int, first: int, last: int, stand_in: int | None = None) -> TimeAway:
    """Away from one day after now until another."""
    return TimeAway(person, NOW + first * DAY, NOW + last * DAY, stand_in)


TIMES = st.lists(
    st.builds(
        lambda who, first, days, stand_in: time(who, first, first + days, stand_in),
        PEOPLE,
        st.integers(0, 9),
        st.integers(1, 6),
        st.none() | PEOPLE,
    ),
    max_size=14,
)


def planned(asked: list[TimeAway]) -> list[TimeAway]:
    """Those of them that could be planned one after another."""
    kept: list[TimeAway] = []
    for one in asked:
        if fault(one, kept, NOW) is None:
            kept.append(one)
    return kept


class TestWhoIsThere:
    def test_one_who_is_not_away_stands_for_themselves(self) -> None:
        assert stand_in_of(1, {2: 1}) == 1

    @pytest.mark.parametrize(
        ("away", "there"),
        [
            ({1: 2}, 2),
            ({1: None}, None),
            ({1: 2, 2: 3}, 3),
            ({1: 2, 2: 3, 3: 4}, 4),
            ({1: 2, 2: 3, 3: 4, 4: 5}, None),  # one link too many
            ({1: 2, 2: None}, None),
            ({1: 2, 2: 1}, None),
            ({1: 1}, None),
            ({1: 2, 2: 3, 3: 2}, None),
        ],
    )
    def test_a_chain_ends_with_somebody_who_is_there_or_with_nobody(
        self, away: dict[int, int | None], there: int | None
    ) -> None:
        assert stand_in_of(1, away) == there

    @given(AWAY, PEOPLE)
    def test_whoever_is_there_is_not_away(self, away: dict[int, int | None], person: int) -> None:
        there = stand_in_of(person, away)

        assert there is None or there not in away

    @given(AWAY)
    def test_each_absent_person_has_one_who_is_there_at_most(
        self, away: dict[int, int | None]
    ) -> None:
        found = [absent for person in range(7) for absent in stood_in_for(person, away)]

        assert len(found) == len(set(found))
        assert set(found) == {p for p in away if stand_in_of(p, away) is not None}

    @given(AWAY, PEOPLE)
    def test_who_is_away_stands_in_for_nobody(
        self, away: dict[int, int | None], person: int
    ) -> None:
        assume(person in away)

        assert stood_in_for(person, away) == frozenset()


class TestPlanning:
    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            (time(1, 0, 1), None),
            (time(1, 0, 90), None),
            (TimeAway(1, NOW, NOW + LONGEST + timedelta(seconds=1)), "until"),
            (time(1, 2, 2), "until"),
            (time(1, 2, 1), "until"),
            (TimeAway(1, NOW - 2 * DAY, NOW - DAY), "until"),
            (TimeAway(1, NOW - 2 * DAY, NOW), "until"),
            (TimeAway(1, NOW + AHEAD, NOW + AHEAD + DAY), None),
            (TimeAway(1, NOW + AHEAD + timedelta(seconds=1), NOW + AHEAD + DAY), "from"),
            (time(1, 0, 1, 1), "stand_in"),
        ],
    )
    def test_the_wrong_field_is_named(self, asked: TimeAway, field: str | None) -> None:
        found = fault(asked, [], NOW)

        assert (found.field if found else None) == field

    @pytest.mark.parametrize(("first", "last", "fits"), [(0, 2, True), (4, 5, True), (1, 3, False)])
    def test_one_is_away_once_at_a_time(self, first: int, last: int, fits: bool) -> None:
        found = fault(time(1, first, last), [time(1, 2, 4)], NOW)

        assert (found is None) == fits
        assert found is None or found.field == "from"
        assert fault(time(2, first, last), [time(1, 2, 4)], NOW) is None

    def test_so_many_and_no_more_are_planned(self) -> None:
        others = [time(1, 2 * n, 2 * n + 1) for n in range(PLANNED_MOST)]

        assert fault(time(1, 50, 51), others[1:], NOW) is None
        found = fault(time(1, 50, 51), others, NOW)
        assert found is not None
        assert found.field == "from"

    def test_a_circle_is_refused_only_where_the_times_meet(self) -> None:
        ana = time(1, 0, 5, 2)

        met = fault(time(2, 4, 9, 1), [ana], NOW)
        assert met is not None
        assert met.field == "stand_in"
        assert "come back" in met.sentence
        assert fault(time(2, 5, 9, 1), [ana], NOW) is None

    def test_a_circle_of_several_is_refused_where_all_of_them_meet(self) -> None:
        others = [time(1, 0, 5, 2), time(2, 3, 8, 3)]

        assert fault(time(3, 4, 9, 1), others, NOW) is not None
        assert fault(time(3, 5, 9, 1), others, NOW) is None  # Ana is back by then

    def test_a_chain_has_no_link_too_many(self) -> None:
        others = [time(n, 0, 9, n + 1) for n in range(2, LINKS + 2)]

        assert fault(time(1, 0, 9, 2), others[:-1], NOW) is None
        found = fault(time(1, 0, 9, 2), others, NOW)
        assert found is not None
        assert found.field == "stand_in"
        assert "at most 3" in found.sentence

    @given(TIMES, st.integers(0, 16))
    def test_what_was_planned_has_no_circle_at_any_moment(
        self, asked: list[TimeAway], day: int
    ) -> None:
        away = away_at(planned(asked), NOW + day * DAY + timedelta(hours=1))

        for person in away:
            met = {person}
            at: Any = away[person]
            while at in away:
                assert at not in met
                met.add(at)
                at = away[at]

    @given(TIMES)
    def test_what_was_planned_never_overlaps_of_one_person(self, asked: list[TimeAway]) -> None:
        kept = planned(asked)

        for n, one in enumerate(kept):
            for other in kept[n + 1 :]:
                assert one.person != other.person or not one.meets(other.begins_at, other.ends_at)

    @given(TIMES, TIMES.filter(bool))
    def test_it_is_refused_for_a_circle_only_if_one_would_be_there(
        self, before: list[TimeAway], asked: list[TimeAway]
    ) -> None:
        """Looked at hour by hour, which the rule doesn't do."""
        kept, new = planned(before), asked[0]
        found = fault(new, kept, NOW)
        assume(found is None or "come back" in found.sentence)
        hours = [NOW + timedelta(hours=12 * n + 1) for n in range(34)]
        circles = [_has_circle(away_at([*kept, new], at), new.person) for at in hours]

        assert any(circles) == (found is not None)


def _has_circle(away: dict[int, int | None], person: int) -> bool:
    at, steps = away.get(person), 0
    while at in away and at != person and steps < 20:
        at, steps = away[at], steps + 1  # type: ignore[index]  # it is in there
    return person in away and at == person


def test_a_stand_in_inherits_what_an_absent_person_had() -> None:
    had = {"ana": "asked for this run"}

    assert inherited(had, [("bo", "Bo"), ("ana", "Ana Ruiz")]) == (
        "stand in for Ana Ruiz, who asked for this run"
    )
    assert inherited(had, [("bo", "Bo")]) == ""
    assert inherited({}, [("ana", "Ana")]) == ""
