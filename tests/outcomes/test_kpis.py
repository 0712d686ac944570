"""The arithmetic of the KPIs; no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.outcomes import kpis
from apps.outcomes.kpis import KPIS, Human, Measure, Numbers, Share, change, wilson
from apps.outcomes.selectors.outcomes import Cell, Durations, DurationSeries, Terms

TERMS = {1: Terms(0.8, 60, 300), 2: Terms(0.9, 30, 100)}
counts = st.integers(0, 5000).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)) if n else st.just((0, 0))
)


def cell(state: str, runs: int, **more: object) -> Cell:
    values = {"contract_number": 1, "contract_version_id": 1, "state": state, "runs": runs}
    return Cell(**{**values, **more})  # type: ignore[arg-type]  # test values


def numbers(*cells: Cell, **more: object) -> Numbers:
    values: dict[str, object] = {
        "all": kpis.tally(cells),
        "buckets": [],
        "times": DurationSeries(Durations(), {}, {}),
        "bucket_times": [],
        "terms": TERMS,
        "human": Human(),
    }
    return Numbers(**{**values, **more})  # type: ignore[arg-type]  # test values


@given(counts)
def test_wilson_holds_the_share_and_stays_a_share(counted: tuple[int, int]) -> None:
    successes, n = counted
    low, high = wilson(successes, n)

    assert 0 <= low <= high <= 1
    if n:
        assert low <= successes / n <= high


@given(counts)
def test_wilson_mirrors(counted: tuple[int, int]) -> None:
    successes, n = counted
    low, high = wilson(successes, n)

    assert wilson(n - successes, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


@given(st.integers(1, 500), st.integers(2, 50))
def test_wilson_narrows_with_more_runs(n: int, times: int) -> None:
    few, many = wilson(n // 2, n), wilson(n // 2 * times, n * times)

    assert many[1] - many[0] < few[1] - few[0]


def test_wilson_known_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    found = [wilson(81, 263), wilson(15, 148), wilson(0, 20), wilson(1, 29)]

    rounded = [(round(low, 4), round(high, 4)) for low, high in found]
    assert rounded == [(0.2553, 0.3662), (0.0624, 0.1605), (0.0, 0.1611), (0.0061, 0.1718)]


def test_share_is_hidden_below_twenty() -> None:
    assert (Share(19, 19).words, Share(19, 19).interval_words) == ("too few", "")
    assert (Share(17, 20).words, Share(17, 20).interval_words) == ("85 %", "64 % to 95 %")
    assert Share(0, 0).words == kpis.DASH


@pytest.mark.parametrize(
    ("share", "words"), [(0.999, "99.9 %"), (1.0, "100 %"), (0.004, "0.4 %"), (0.855, "86 %")]
)
def test_percent_never_rounds_to_all_or_nothing(share: float, words: str) -> None:
    assert kpis.percent(share) == words


def test_success_counts_only_finished_runs_that_nobody_withdrew() -> None:
    found = kpis.success_share(
        numbers(
            cell("succeeded", 17),
            cell("failed", 2),
            cell("shed", 1),
            cell("cancelled", 40),
            cell("running", 40),
            cell("confirmation_unknown", 40),
        )
    )

    assert (found.value, found.words, found.target, found.met) == (0.85, "85 %", "80 %", True)


def test_success_of_few_runs_says_nothing_about_the_target() -> None:
    found = kpis.success_share(numbers(cell("failed", 3)))

    assert (found.value, found.words, found.met) == (None, "too few", None)


def test_target_is_weighted_by_what_finished_under_each_version() -> None:
    group = kpis.tally([cell("succeeded", 30), cell("failed", 10, contract_version_id=2)])

    assert kpis.target_of(group, TERMS) == pytest.approx((0.8 * 30 + 0.9 * 10) / 40)
    assert kpis.target_of(group, {}) is None


def test_time_is_held_against_the_strictest_promise() -> None:
    times = DurationSeries(Durations(40, 12.0, 45.0), {}, {})

    found = kpis.time_to_outcome(numbers(cell("succeeded", 40), times=times))

    assert (found.words, found.note) == ("45 s", "median 12 s · n 40")
    assert (found.target, found.met) == ("30 s", False)


def test_cost_is_paid_by_the_runs_that_succeed() -> None:
    found = kpis.cost_per_outcome(
        numbers(
            cell("succeeded", 4, priced=4, cost_microusd=6_000_000),
            cell("failed", 4, priced=4, cost_microusd=2_000_000),
        )
    )

    assert (found.value, found.words) == (2.0, "$2.00")


def test_cost_is_unknown_without_a_price() -> None:
    found = kpis.cost_per_outcome(numbers(cell("succeeded", 4)))

    assert (found.value, found.note) == (None, "price known for 0 of 4 runs")


def test_human_time_is_spread_over_all_runs() -> None:
    human = Human(asked=2, dwell_n=2, dwell_total_s=30, dwell_p50_s=15)

    found = kpis.human_time(numbers(cell("succeeded", 10), human=human))

    assert (found.value, found.words) == (3.0, "3.0 s")


@pytest.mark.parametrize(
    ("key", "now", "before", "told"),
    [
        ("success", 0.9, 0.85, ("5.0 points", "up", True)),
        ("success", 0.8, 0.85, ("5.0 points", "down", False)),
        ("time", 90.0, 30.0, ("1 m 00 s", "up", False)),
        ("violations", 1.0, 4.0, ("3", "down", True)),
        ("violations", 4.0, 4.0, ("unchanged", "", None)),
        ("cost", 1.0, None, ("nothing to compare with", "", None)),
    ],
)
def test_change_says_which_way_and_whether_that_is_good(
    key: str, now: float, before: float | None, told: tuple[str, str, bool | None]
) -> None:
    assert change(KPIS[key], Measure(now), Measure(before)) == told


@pytest.mark.parametrize("key", list(KPIS))
def test_every_kpi_explains_itself_and_bears_emptiness(key: str) -> None:
    found = KPIS[key].compute(numbers())

    assert len(KPIS[key].how[0]) > 60
    assert isinstance(found.words, str)
