"""Every page and the API are asked the same question, and give the same number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from apps.accounts.domain.tokens import Scope
from apps.accounts.services import create_account, create_token
from apps.ops.forms import RunFilterForm
from apps.ops.selectors import runs as listing
from apps.outcomes.domain.counting import FINISHED, CountsAs, counts_as
from apps.runs.models import Run
from apps.web.domain.quantities import DASH
from tests.api.rest.conftest import Machine
from tests.dashboards.rows import Shop

ClientAs = Callable[[str], Client]
HALF_AN_HOUR = timedelta(minutes=30)
JOB = "refund"


@dataclass(frozen=True)
class Answer:
    finished: int
    succeeded: int
    handed_over: int


@pytest.fixture
def mix(shop: Shop) -> Shop:
    """Everything that may be counted wrongly, in one job, half an hour ago; a little of it three
    days ago; and a job that does nothing but hand over."""
    shop.job(JOB, target=0.9)
    shop.job("ask")
    at = timezone.now() - HALF_AN_HOUR
    handed = {"state": "succeeded", "outcome": "handed_over"}
    failed = {"state": "failed", "outcome": "denied", "error_class": "denied"}
    shop.runs(12, JOB, at=at)
    shop.runs(4, JOB, at=at, **failed)
    shop.runs(3, JOB, at=at, state="failed", outcome="escalated", error_class="escalated")
    shop.runs(5, JOB, at=at, **handed)
    shop.runs(2, JOB, at=at, state="compensated", outcome="compensated")
    shop.runs(1, JOB, at=at, state="shed", outcome="shed", took_s=0)
    shop.runs(6, JOB, at=at, state="cancelled", outcome="cancelled")
    for state in ("waiting_approval", "confirmation_unknown", "running", "compensating"):
        shop.runs(2, JOB, at=at, state=state, took_s=None)
    for fork in (handed, failed, {}):
        shop.runs(7, JOB, at=at, source="fork", **fork)
    for origin in ("practice", "replay"):
        shop.runs(9, JOB, at=at, origin=origin, **failed)
        shop.runs(8, JOB, at=at, origin=origin, **handed)
    shop.runs(10, JOB, at=at - timedelta(days=3))
    shop.runs(1, JOB, at=at - timedelta(days=3), **handed)
    shop.runs(90, JOB, at=at - timedelta(days=8), **failed)
    shop.runs(25, "ask", at=at, **handed)
    return shop


def by_hand(since: timedelta, **values: Any) -> Answer:
    """Counted one by one, in Python."""
    wanted = {"job_slug": JOB, "origin": "real", **values}
    rows = Run.objects.filter(created_at__gte=timezone.now() - since, **wanted)
    kinds = [counts_as(r.state, r.outcome) for r in rows if r.source != "fork"]
    return Answer(
        sum(kind in FINISHED for kind in kinds),
        kinds.count(CountsAs.SUCCESS),
        kinds.count(CountsAs.HANDED_OVER),
    )


def html(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return unescape(response.content.decode())


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, pattern
    return match[1]


def listed(link: str) -> int:
    """How many runs the list behind a link holds."""
    form = RunFilterForm(QueryDict(urlsplit(link).query))
    assert form.dropped() == []
    return listing.count(form.wanted())


@pytest.fixture
def machine(people: dict[str, Any]) -> Machine:
    """A company's system that reads."""
    admin = people["admin"]
    account = create_account(actor=admin, name="reader", purpose="tests")
    _, token = create_token(
        actor=admin,
        account_id=account.pk,
        scopes=[Scope.RUNS_READ, Scope.RUNS_ALL],
        days=7,
        rate_per_minute=600,
    )
    return Machine(account, token)


def told(machine: Machine, path: str) -> Any:
    response = machine.get(path)
    assert response.status_code == 200, response.content
    return response.json()


def of_the_outcomes(client: Client, stretch: str) -> Answer:
    """The tiles, and where they lead."""
    page = html(client, f"/outcomes/?range={stretch}&job={JOB}&origin=real")
    tile = r'<a class="value" href="([^"]*)" aria-label="{}: {}; show the runs"'
    n = int(found(r'id="kpi-success".*?n (\d+)', page.replace("\n", " ")))
    handed = found(r'aria-label="Handed over: (\d+); show the runs"', page)
    share = found(r'aria-label="Success share: (\d+) %; show the runs"', page)
    succeeded = listed(found(tile.format("Success share", r"\d+ %"), page))
    assert share == f"{100 * succeeded / n:.0f}"
    assert listed(found(tile.format("Handed over", r"\d+"), page)) == int(handed)
    return Answer(n, succeeded, int(handed))


def of_the_table(client: Client, stretch: str) -> Answer:
    """The chart's table as a file, and over time."""
    query = f"range={stretch}&job={JOB}&origin=real"
    [row] = csv.DictReader(
        io.StringIO(client.get(f"/outcomes/success.csv?{query}").content.decode())
    )
    times = list(
        csv.DictReader(io.StringIO(client.get(f"/outcomes/states.csv?{query}").content.decode()))
    )
    answer = Answer(int(row["Finished"]), int(row["Succeeded"]), int(row["Handed over"]))
    assert sum(int(t["Succeeded"]) for t in times) == answer.succeeded
    assert sum(int(t["Handed over"]) for t in times) == answer.handed_over
    failed = ("Failed", "Undone", "Shed")
    assert sum(int(t[name]) for t in times for name in failed) == answer.finished - answer.succeeded
    why = csv.DictReader(io.StringIO(client.get(f"/outcomes/errors.csv?{query}").content.decode()))
    assert sum(int(line["Runs"]) for line in why) == answer.finished - answer.succeeded
    return answer


def of_the_catalog(client: Client) -> Answer:
    stats = client.get("/runs/job-stats/", {"slugs": JOB}).json()[JOB]
    assert listed(stats["links"]["finished"]) == stats["finished"]
    assert listed(stats["links"]["handed_over"]) == stats["handed_over"]
    assert stats["waiting"] == 2
    return Answer(stats["finished"], stats["succeeded"], stats["handed_over"])


def of_the_jobs_page(client: Client) -> Answer:
    part = html(client, f"/runs/for-job/{JOB}/")
    names = ("finished", "succeeded", "handed-over")
    return Answer(*(int(found(rf'data-{name}="(\d+)"', part)) for name in names))


def of_the_home_page(client: Client) -> Answer:
    page = html(client, "/")
    row = found(rf'(<a id="job-{JOB}".*?</tr>)', page.replace("\n", " "))
    finished, handed = (
        found(r'aria-label="(\d+) finished runs', row),
        found(r">(\d+) handed over", row),
    )
    finished_link, handed_link = re.findall(r'href="(/runs/\?[^"]*)"', row)
    assert (listed(finished_link), listed(handed_link)) == (int(finished), int(handed))
    share = found(rf"Refund: (\d+) %, target 90 %, {finished} finished runs, {handed} handed", row)
    return Answer(int(finished), round(int(share) * int(finished) / 100), int(handed))


def of_the_api(machine: Machine, stretch: str) -> Answer:
    since = timezone.now() - {"1h": timedelta(hours=1), "7d": timedelta(days=7)}[stretch]
    runs = f"/api/v1/runs?counted=true&job={JOB}&origin=real&since={since:%Y-%m-%dT%H:%M:%SZ}"
    numbers = told(machine, f"{runs}&numbers=true&limit=1")["numbers"]
    names = {
        "success": "succeeded",
        "failure": "failed",
        "handed_over": "handed_over",
        "cancelled": "cancelled",
        "open": "open",
    }
    for kind, name in names.items():
        rows = told(machine, f"{runs}&counts_as={kind}&limit=100")["runs"]
        assert {run["counts_as"] for run in rows} == {kind}
        assert len(rows) == numbers[name]
    assert sum(numbers[name] for name in names.values()) == numbers["runs"]
    assert numbers["success_share"] == pytest.approx(numbers["succeeded"] / numbers["finished"])
    return Answer(numbers["finished"], numbers["succeeded"], numbers["handed_over"])


def test_all_give_the_same_number_of_seven_days(
    mix: Shop, client_as: ClientAs, machine: Machine
) -> None:
    client = client_as("product_manager")
    right = by_hand(timedelta(days=7))
    assert right == Answer(32, 22, 6)

    said = {
        "outcomes": of_the_outcomes(client, "7d"),
        "table": of_the_table(client, "7d"),
        "catalog": of_the_catalog(client),
        "job": of_the_jobs_page(client),
        "home": of_the_home_page(client),
        "api": of_the_api(machine, "7d"),
    }

    assert said == dict.fromkeys(said, right)


def test_all_give_the_same_number_of_the_last_hour(
    mix: Shop, client_as: ClientAs, machine: Machine
) -> None:
    client = client_as("product_manager")
    right = by_hand(timedelta(hours=1))
    assert right == Answer(22, 12, 5)

    said = {
        "outcomes": of_the_outcomes(client, "1h"),
        "table": of_the_table(client, "1h"),
        "api": of_the_api(machine, "1h"),
    }

    assert said == dict.fromkeys(said, right)


def test_the_last_hour_of_the_home_page_is_of_all_jobs_and_leads_to_its_runs(
    mix: Shop, client_as: ClientAs
) -> None:
    ask = by_hand(timedelta(hours=1), job_slug="ask")
    refund = by_hand(timedelta(hours=1))

    part = html(client_as("operator"), "/home/counters/")

    tile = found(r"(Finished in the last hour.*?</div>)", part.replace("\n", " "))
    finished = int(found(r'aria-label="(\d+) runs finished', tile))
    succeeded, failed = found(r"real runs: (\d+) succeeded", tile), found(r"· (\d+) failed", tile)
    handed = found(r">(\d+) handed over", tile)
    assert finished == refund.finished + ask.finished == int(succeeded) + int(failed)
    assert int(succeeded) == refund.succeeded
    assert int(handed) == refund.handed_over + ask.handed_over == 30
    assert [listed(link) for link in re.findall(r'href="(/runs/\?[^"]*)"', tile)] == [finished, 30]


def test_a_job_that_only_hands_over_has_no_share(mix: Shop, client_as: ClientAs) -> None:
    client = client_as("product_manager")

    stats = client.get("/runs/job-stats/", {"slugs": "ask"}).json()["ask"]
    table = client.get("/outcomes/success.csv?range=7d&job=ask&origin=real").content.decode()

    assert (stats["finished"], stats["success"], stats["words"]) == (0, None, DASH)
    [row] = csv.DictReader(io.StringIO(table))
    assert (row["Finished"], row["Share"], row["Handed over"]) == ("0", DASH, "25")
