"""Addresses of the outcome page, read and written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.dashboards.forms import MOST_BUCKETS, RANGES, WIDTHS, bucket_width, read_query

NOW = datetime(2026, 3, 2, 12, 34, 56, 789, tzinfo=UTC)


def test_default_is_the_last_day_from_a_whole_bucket() -> None:
    query = read_query({}, NOW)

    assert (query.since, query.until) == (
        datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        datetime(2026, 3, 2, 12, 34, 57, tzinfo=UTC),
    )
    assert (query.width, query.url()) == (timedelta(hours=1), "/outcomes/")


@pytest.mark.parametrize(
    "address",
    [
        "/outcomes/?range=7d&compare=1&refresh=30&by=agent&job=refund",
        "/outcomes/?from=2026-03-01T00%3A00%3A00Z&to=2026-03-02T00%3A00%3A00Z&contract=3",
        "/outcomes/?range=15m&domain=retail&agent=recorded+gpt-4o&source=desk",
    ],
)
def test_an_address_survives_being_read(address: str) -> None:
    query = read_query(dict(parse_qsl(urlsplit(address).query)), NOW)

    assert query.url() == address


@pytest.mark.parametrize(
    "params",
    [
        {"from": "yesterday"},
        {"from": "2026-13-45T99:99"},
        {"from": "2026-03-02T00:00", "to": "2026-03-01T00:00"},
        {"from": "1926-03-02T00:00"},
        {"to": "2026-03-02T00:00"},
    ],
)
def test_impossible_times_fall_back_and_are_told(params: dict[str, str]) -> None:
    query = read_query(params, NOW)

    assert (query.range, bool(query.problem)) == ("24h", True)


@given(
    st.dictionaries(
        st.sampled_from(["range", "from", "to", "contract", "by", "refresh", "job"]), st.text()
    )
)
def test_no_address_breaks_the_page(params: dict[str, str]) -> None:
    query = read_query(params, NOW)

    assert query.since < query.until
    assert query.url().startswith("/outcomes/")


@pytest.mark.parametrize("span", [span for _, span in RANGES.values()])
def test_charts_have_a_readable_number_of_bars(span: timedelta) -> None:
    assert 12 <= span / bucket_width(span) <= MOST_BUCKETS


def test_widths_rise() -> None:
    assert sorted(WIDTHS) == WIDTHS


def test_the_previous_stretch_ends_where_this_begins() -> None:
    query = read_query({"range": "7d", "job": "refund"}, NOW)

    before = query.previous()

    assert (before.until, before.until - before.since) == (query.since, query.until - query.since)
    assert before.job == "refund"
