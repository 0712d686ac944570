"""Moments of an address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.moments import FIRST, LAST, moment


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-05-15T15:00:00Z", datetime(2024, 5, 15, 15, tzinfo=UTC)),
        ("2024-05-15T15:00:00+02:00", datetime(2024, 5, 15, 13, tzinfo=UTC)),
        ("2024-05-15T15:00:00 02:00", datetime(2024, 5, 15, 13, tzinfo=UTC)),
        ("2024-05-15", datetime(2024, 5, 15, tzinfo=UTC)),
        ("2024-05-15 15:00", datetime(2024, 5, 15, 15, tzinfo=UTC)),
        ("0001-01-01T00:00+14:00", None),
        ("9999-12-31T23:59-12:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("2024-02-30", None),
        ("24:00", None),
        ("", None),
        ("\x00", None),
    ],
)
def test_moment_is_read_or_not_understood(text: str, wanted: datetime | None) -> None:
    assert moment(text) == wanted


@given(
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), None]))
    | st.text().map(str)
)
def test_a_year_can_be_added_to_any_moment(said: datetime | str) -> None:
    found = moment(said if isinstance(said, str) else said.isoformat())

    if found is not None:
        assert found.tzinfo is UTC
        assert FIRST <= found < LAST
        assert found - timedelta(days=400) < found + timedelta(days=400)
