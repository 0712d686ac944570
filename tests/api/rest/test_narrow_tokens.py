"""A token is for its account's runs, its jobs and its budget, unless it was made wider."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.accounts import services
from apps.accounts.domain.tokens import Scope, TokenLimits
from apps.accounts.models import ApiToken
from apps.audit import services as audit
from apps.kernel.errors import InvalidInputError
from apps.runs.models import Run
from tests.api.rest.conftest import RUNS, Machine, Make
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db
OWN = (Scope.RUNS_START, Scope.RUNS_SCRIPT, Scope.RUNS_READ, Scope.RUNS_CANCEL)


@pytest.fixture
def other(shop: None, machines: Make) -> Machine:
    """Another system, which sees its own."""
    return machines("crm", scopes=OWN)


def limited(machine: Machine, **limits: Any) -> Machine:
    """The same account with a token that has these bounds."""
    _, token = services.create_token(
        actor=UserFactory.create(role="admin"),
        account_id=machine.account.pk,
        scopes=OWN,
        days=1,
        rate_per_minute=6000,
        limits=TokenLimits(**limits),
    )
    return Machine(machine.account, token)


def test_a_token_sees_and_cancels_its_accounts_runs_and_no_others(
    erp: Machine, other: Machine
) -> None:
    mine, theirs = other.start().json()["id"], erp.start().json()["id"]

    assert [run["id"] for run in other.get(RUNS).json()["runs"]] == [mine]
    assert other.get(f"{RUNS}/{mine}").status_code == 200
    for path in ("", "/steps", "/receipts"):
        hidden = other.get(f"{RUNS}/{theirs}{path}")
        assert (hidden.status_code, hidden.json()["detail"]) == (404, "There is no such run.")
        unknown = other.get(f"{RUNS}/{uuid4()}{path}")
        assert unknown.json() == hidden.json()
    assert other.cancel(theirs).status_code == 404
    assert Run.objects.get(pk=theirs).state != "cancelled"
    assert other.cancel(mine).status_code == 200


def test_numbers_are_of_its_own_runs(erp: Machine, other: Machine) -> None:
    erp.start()
    other.start()
    asked = f"{RUNS}?numbers=true&since=2020-01-01T00:00:00Z"

    assert other.get(asked).json()["numbers"]["runs"] == 1
    assert erp.get(asked).json()["numbers"]["runs"] == 2


def test_with_the_scope_for_it_a_token_sees_and_cancels_everybodys(
    erp: Machine, other: Machine
) -> None:
    theirs = other.start().json()["id"]

    assert erp.get(f"{RUNS}/{theirs}").status_code == 200
    assert erp.cancel(theirs).status_code == 200


@pytest.mark.parametrize("of_run", [False, True])
def test_events_are_of_its_own_runs(erp: Machine, other: Machine, of_run: bool) -> None:
    theirs, mine = erp.start().json()["id"], other.start().json()["id"]
    audit.seal()

    asked = f"?run={theirs}" if of_run else ""
    heard = other.get(f"/api/v1/events{asked}").json()

    assert {event["run"] for event in heard["events"]} == (set() if of_run else {mine})
    assert heard["next_after"] == heard["head"]


def test_events_of_anothers_run_are_those_of_no_run(erp: Machine, other: Machine) -> None:
    theirs = erp.start().json()["id"]
    other.start()
    audit.seal()

    of_theirs, of_none = (
        other.get(f"/api/v1/events?limit=1&run={run}").json() for run in (theirs, uuid4())
    )

    assert of_theirs == of_none


def test_a_token_for_some_jobs_starts_no_others(other: Machine) -> None:
    narrow = limited(other, jobs=("toys-refund",))

    refused = narrow.start(job="toys-other")

    assert narrow.start().status_code == 202
    assert refused.status_code == 403
    body = refused.json()
    assert (body["code"], body["field"]) == ("job_not_included", "/job")
    assert "toys-refund" in body["fix"]


def test_a_script_needs_the_scope_for_it(shop: None, machines: Make) -> None:
    live_only = machines(scopes=(Scope.RUNS_START,))

    refused = live_only.start()

    assert refused.status_code == 403
    assert refused.json()["scope"] == "runs:script"
    assert not Run.objects.exists()


def test_a_budget_of_runs_is_told_with_when_to_come_again(other: Machine) -> None:
    narrow = limited(other, starts_per_hour=2)
    for _ in range(2):
        assert narrow.start().status_code == 202
    key = str(uuid4())

    refused = narrow.start(key)

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_runs")
    assert 1700 < int(refused["Retry-After"]) <= 1800
    assert Run.objects.count() == 2
    ApiToken.objects.filter(starts_per_hour=2).update(starts_left=1)
    assert narrow.start(key).status_code == 202
    assert narrow.start(key).status_code == 200  # the answer again takes nothing off


def test_what_models_cost_stops_new_runs(other: Machine) -> None:
    narrow = limited(other, usd_per_day=Decimal("2.50"))
    first = narrow.start().json()["id"]
    Run.objects.filter(pk=first).update(cost_microusd=2_499_999)
    assert narrow.start().status_code == 202
    Run.objects.filter(pk=first).update(cost_microusd=2_500_000)

    refused = narrow.start()

    assert (refused.status_code, refused.json()["code"]) == (429, "too_costly")
    assert "$2.50" in refused.json()["detail"]
    assert Run.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_budget_of_runs_is_never_overspent(other: Machine) -> None:
    token = ApiToken.objects.get(pk=ApiToken.objects.latest("pk").pk)
    ApiToken.objects.filter(pk=token.pk).update(starts_per_hour=5, starts_left=5)

    def spend(_: int) -> bool:
        try:
            return services.spend_start(token.pk) is None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(40))) == 5


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"jobs": ("no-such-job",)}, "jobs"),
        ({"starts_per_hour": 0}, "starts"),
        ({"usd_per_day": Decimal(0)}, "usd"),
    ],
)
def test_bounds_that_bound_nothing_are_refused(
    other: Machine, limits: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        limited(other, **limits)

    assert refused.value.detail["field"] == field
