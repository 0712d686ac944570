"""Retry budgets against the real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from apps.kernel.ids import new_id
from apps.runs import journal
from apps.runs.domain.rows import Retry
from apps.runs.journal import budgets, claiming
from apps.runs.models import Budget, Step
from tests.runs.conftest import Scene
from tests.runs.test_journal import step_row

pytestmark = pytest.mark.django_db
TOOL = "shop/refund"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    budgets.forget_low()
    yield
    budgets.forget_low()


def retry(**changes: Any) -> Retry:
    return replace(Retry(new_id(), 1, 0.3, "unavailable", "503", TOOL, 5.0, 30.0), **changes)


def test_where_nothing_fails_nothing_is_written(django_assert_num_queries: Any) -> None:
    budgets.ration([], ["shop/look"] * 50)  # looks which budgets are low
    with django_assert_num_queries(0):
        assert budgets.ration([], ["shop/look"] * 50) == []
    assert not Budget.objects.exists()


def test_retries_beyond_the_budget_wait_long_and_say_why() -> None:
    rows = budgets.ration([retry() for _ in range(22)], [])

    assert [r.delay_s for r in rows[:20]] == [0.3] * 20
    assert all(30 <= r.delay_s < 60 for r in rows[20:])
    assert {r.waits_for for r in rows[20:]} == {"retry budget of shop/refund is used up"}
    kept = Budget.objects.get()
    assert (kept.tool_name, kept.tokens, kept.refused) == (TOOL, 0.0, 2)


def test_calls_that_go_well_fill_the_budget_again() -> None:
    budgets.ration([retry(cost=10.0) for _ in range(10)], [])
    budgets.forget_low()
    budgets.ration([], [TOOL] * 7 + ["shop/look"])
    assert Budget.objects.get().tokens == 7
    budgets.ration([], [TOOL] * 500)
    assert Budget.objects.get().tokens == 100


def test_one_tools_storm_leaves_other_tools_their_retries() -> None:
    rows = budgets.ration([*(retry() for _ in range(30)), retry(tool="shop/look")], [])
    [other] = [r for r in rows if r.tool == "shop/look"]
    assert other.delay_s == 0.3


def test_a_retry_whose_time_was_told_costs_nothing() -> None:
    assert len(budgets.ration([retry(cost=0.0) for _ in range(50)], [])) == 50
    assert not Budget.objects.exists()


def test_the_step_shows_what_it_waits_for_until_it_is_claimed(scene: Scene) -> None:
    Budget.objects.create(tool_name=TOOL, tokens=1.0)
    journal.add_steps([step_row(scene.run())], owner="", lease_s=None)
    [work] = claiming.lease(
        claiming.due("normal", limit=1, engine_version=1), owner="w", lease_s=30
    )

    journal.requeue(budgets.ration([retry(step_id=work.step_id, lease_token=work.lease_token)], []))

    step = Step.objects.get()
    assert (step.state, step.waits_for) == ("queued", "retry budget of shop/refund is used up")
