"""The series behind the dashboards, against values counted by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.ops.selectors.runs import RunFilter
from apps.outcomes.selectors import outcomes
from apps.outcomes.selectors.outcomes import Cell, Durations, RunsInScope, Terms
from tests.dashboards.rows import NOON, Shop

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.job("refund", target=0.9)
    shop.job("refund", target=0.8, number=2)
    shop.job("return", target=0.7, budget_s=60)
    return shop


def scope(**more: Any) -> RunsInScope:
    return RunsInScope(NOON - HOUR, NOON + 3 * HOUR, **more)


def test_buckets_cover_the_scope_also_where_nothing_happened() -> None:
    assert list(outcomes.buckets(scope(), HOUR)) == [NOON + n * HOUR for n in (-1, 0, 1, 2)]


def test_counts_tell_time_and_kind_and_leave_out_what_started_elsewhere(shop: Shop) -> None:
    shop.runs(3, "refund")
    shop.runs(2, "return", state="failed", outcome="denied", has_violation=True)
    shop.runs(1, "refund", at=NOON + HOUR, tokens_in=5, tokens_out=2, cost_microusd=40)
    shop.runs(9, "refund", at=NOON + 3 * HOUR)
    shop.runs(9, "refund", at=NOON - HOUR - timedelta(microseconds=1))

    found = outcomes.counts(scope(), HOUR)

    priced = {"metered": 1, "priced": 1, "tokens_in": 5, "tokens_out": 2, "cost_microusd": 40}
    assert sorted(found.by_bucket, key=str) == sorted(
        [
            Cell(NOON, state="succeeded", runs=3),
            Cell(NOON, state="failed", runs=2, violations=2),
            Cell(NOON + HOUR, state="succeeded", runs=1, **priced),
        ],
        key=str,
    )
    assert sorted(found.by_kind, key=str) == sorted(
        [
            kind(shop, "refund", state="succeeded", outcome="resolved", runs=4, **priced),
            kind(shop, "return", state="failed", outcome="denied", runs=2, violations=2),
        ],
        key=str,
    )


def kind(shop: Shop, job: str, **values: Any) -> Cell:
    pinned = {"contract_number": 1, "contract_version_id": shop.contracts[job, 1].pk}
    return Cell(domain_slug="shop", job_slug=job, agent_label="reference", **pinned, **values)


def test_forks_count_only_when_asked_for(shop: Shop) -> None:
    shop.runs(3, "refund", source="desk")
    shop.runs(5, "refund", source="fork", state="failed", outcome="denied")

    def n(**more: Any) -> int:
        return sum(c.runs for c in outcomes.counts(scope(**more), HOUR).by_kind)

    assert n() == 3
    assert n(source="fork") == 5
    assert "fork" in outcomes.choices(NOON - HOUR, NOON + HOUR).sources
    assert RunFilter(counted=True).rows().count() == 3
    assert RunFilter(counted=True, source="fork").rows().count() == 5


def test_undone_and_shed_runs_say_nothing_of_how_long_it_takes(shop: Shop) -> None:
    shop.runs(2, "refund", took_s=10)
    shop.runs(2, "refund", state="compensated", outcome="compensated", took_s=90_000)
    shop.runs(9, "refund", state="shed", outcome="shed", took_s=0)

    assert outcomes.durations(scope(), HOUR, "job").overall == Durations(2, 10.0, 10.0)


def test_every_filter_narrows(shop: Shop) -> None:
    shop.runs(1, "refund")
    shop.runs(2, "refund", number=2)
    shop.runs(4, "return", agent_label="recorded gpt-4o", source="replay")

    def n(**more: Any) -> int:
        return sum(c.runs for c in outcomes.counts(scope(**more), HOUR).by_kind)

    assert n() == 7
    assert n(job="refund") == 3
    assert n(job="refund", contract=2) == 2
    assert n(agent="recorded gpt-4o") == 4
    assert n(source="replay") == 4
    assert n(domain="shop") == 7
    assert n(domain="airline") == 0


def test_durations_interpolate_like_the_books(shop: Shop) -> None:
    for seconds in (1, 2, 3, 4, 5):
        shop.runs(1, "refund", took_s=seconds)
    shop.runs(1, "return", took_s=100, at=NOON + HOUR)
    shop.runs(5, "refund", state="running")
    shop.runs(5, "refund", state="cancelled", took_s=900)

    found = outcomes.durations(scope(), HOUR, "job")

    assert found.by_key == {
        ("refund",): Durations(5, 3.0, pytest.approx(4.8)),
        ("return",): Durations(1, 100.0, 100.0),
    }
    assert found.by_bucket[NOON].p50 == 3.0
    assert found.by_bucket[NOON + HOUR].n == 1
    assert (found.overall.n, found.overall.p50) == (6, 3.5)


def test_durations_group_by_contract_version(shop: Shop) -> None:
    shop.runs(1, "refund", took_s=1)
    shop.runs(1, "refund", took_s=3, number=2)

    found = outcomes.durations(scope(), HOUR, "contract").by_key

    assert found == {("refund", 1): Durations(1, 1.0, 1.0), ("refund", 2): Durations(1, 3.0, 3.0)}


def test_durations_of_nothing_are_none(shop: Shop) -> None:
    found = outcomes.durations(scope(), HOUR, "agent")

    assert (found.overall, found.by_bucket, found.by_key) == (Durations(), {}, {})


def test_terms_are_those_of_the_pinned_version(shop: Shop) -> None:
    ids = [shop.contracts["refund", 1].pk, shop.contracts["return", 1].pk]

    assert outcomes.terms(ids) == {ids[0]: Terms(0.9, 150, 300), ids[1]: Terms(0.7, 30, 60)}


def test_standing_counts_what_is_open_whenever_it_started(shop: Shop) -> None:
    old = NOON - timedelta(days=200)
    shop.runs(2, "refund", state="waiting_approval", at=NOON)
    shop.runs(1, "refund", state="waiting_approval", at=old)
    shop.runs(1, "return", state="confirmation_unknown", at=NOON)
    shop.runs(8, "return")

    everything, refunds = outcomes.standing(), outcomes.standing(scope(job="refund"))

    assert everything.by_state == {"waiting_approval": 3, "confirmation_unknown": 1}
    assert everything.total == 4
    assert (everything.oldest_waiting, everything.oldest_unknown) == (old, NOON)
    assert refunds.by_state == {"waiting_approval": 3}


def test_last_started_looks_outside_the_range(shop: Shop) -> None:
    shop.runs(1, "refund", at=NOON - timedelta(days=3))

    assert outcomes.last_started(scope()) == NOON - timedelta(days=3)
    assert outcomes.last_started(scope(job="return")) is None


def test_choices_are_what_the_stretch_has(shop: Shop) -> None:
    shop.runs(1, "refund", number=2, source="desk")
    shop.runs(1, "return", at=NOON + timedelta(days=9))

    found = outcomes.choices(NOON - HOUR, NOON + HOUR)

    assert (found.jobs, found.contracts) == (("refund",), (("refund", 2),))
    assert (found.domains, found.agents, found.sources) == (("shop",), ("reference",), ("desk",))


@pytest.mark.parametrize(("read", "queries"), [("counts", 2), ("durations", 1), ("terms", 1)])
def test_reads_take_as_many_queries_however_many_rows(
    shop: Shop, django_assert_num_queries: Any, read: str, queries: int
) -> None:
    shop.runs(30, "refund")
    shop.runs(30, "return", number=1, state="failed")
    calls = {
        "counts": lambda: outcomes.counts(scope(), HOUR),
        "durations": lambda: outcomes.durations(scope(), HOUR, "contract"),
        "terms": lambda: outcomes.terms([shop.contracts["return", 1].pk]),
    }

    with django_assert_num_queries(queries):
        calls[read]()


@pytest.mark.parametrize(
    ("present", "shown"),
    [
        ([], "real"),
        (["practice"], "practice"),
        (["replay"], "replay"),
        (["replay", "practice"], "practice"),
        (["replay", "practice", "real"], "real"),
    ],
)
def test_real_runs_are_meant_where_there_are_any_and_never_several_kinds(
    shop: Shop, present: list[str], shown: str
) -> None:
    for origin in present:
        shop.runs(1, "refund", origin=origin)
    shop.runs(1, "refund", at=NOON - 9 * HOUR)  # a real one, but of another time

    assert outcomes.usual_origin(NOON - HOUR, NOON + HOUR) == shown
