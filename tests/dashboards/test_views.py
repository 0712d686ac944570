"""The home page and the outcome page, by role, in every state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.dashboards.views import PARTS
from apps.ops.forms import RunFilterForm
from tests.dashboards.rows import Shop

pytestmark = pytest.mark.django_db
ClientAs = Callable[[str], Client]


@pytest.fixture
def busy(shop: Shop, people: dict[str, Any]) -> Shop:
    """A morning at the desk, an hour ago."""
    at = timezone.now() - timedelta(hours=1)
    shop.job("refund", target=0.9)
    shop.job("return", target=0.5)
    good = shop.runs(24, "refund", at=at)
    denied = shop.runs(16, "refund", at=at, state="failed", outcome="denied", error_class="denied")
    shop.runs(30, "return", at=at, took_s=30)
    shop.runs(2, "return", at=at, state="confirmation_unknown")
    waiting = shop.runs(1, "refund", at=at, state="waiting_approval")
    shop.ask(waiting[0], "pending", risk=4)
    shop.ask(good[0], "approved", user=people["operator"], dwell_ms=2000)
    rule = {"id": "no-cash", "reason": "No cash", "roles": []}
    shop.decide(denied, "deny", [rule], at=at)
    return shop


def html(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("operator", ["1 approval waits for a decision", "2 runs have an unconfirmed effect"]),
        ("product_manager", ["Refund is under its target", "2 runs have an unconfirmed effect"]),
        ("admin", ["No worker has sent a heartbeat", "Refund is under its target"]),
        ("auditor", ["2 runs have an unconfirmed effect"]),
    ],
)
def test_home_tells_each_role_what_needs_it(
    busy: Shop, client_as: ClientAs, role: str, told: list[str]
) -> None:
    page = html(client_as(role), "/home/needs/")

    assert [words for words in told if words not in page] == []


def test_home_says_when_nothing_needs_anyone(db: None, client_as: ClientAs) -> None:
    page = html(client_as("operator"), "/")

    assert "Nothing needs you now" in page
    assert "No pack is loaded" in page
    assert "No run yet" in page


def test_home_shows_jobs_with_interval_and_target(busy: Shop, client_as: ClientAs) -> None:
    page = html(client_as("product_manager"), "/home/jobs/")

    assert "Refund: 60 %, target 90 %, 40 finished runs" in page
    assert page.index("Refund") < page.index("Return")
    assert "Under target" in page


@pytest.mark.parametrize("part", list(PARTS))
def test_each_part_reads_anew(busy: Shop, client_as: ClientAs, part: str) -> None:
    assert "<html" not in html(client_as("auditor"), f"/home/{part}/")


def test_home_has_no_other_part(client_as: ClientAs) -> None:
    assert client_as("admin").get("/home/secrets/").status_code == 404


@pytest.mark.parametrize("role", ["operator", "product_manager", "admin", "auditor"])
def test_outcomes_are_open_to_everyone_who_works_here(
    busy: Shop, client_as: ClientAs, role: str
) -> None:
    page = html(client_as(role), "/outcomes/?by=contract&compare=1")

    assert page.count('role="application"') >= 5
    assert "could not be computed" not in page
    assert "Refund v1" in page


@pytest.mark.parametrize("url", ["/", "/home/needs/", "/outcomes/", "/outcomes/states.csv"])
def test_strangers_are_asked_to_log_in(db: None, client: Client, url: str) -> None:
    response = client.get(url)

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_a_refresh_sends_the_middle_only(busy: Shop, client_as: ClientAs) -> None:
    page = html(client_as("auditor"), "/outcomes/?refresh=30", **{"HX-Request": "true"})

    assert "<html" not in page
    assert 'id="panel-states"' in page


def test_an_empty_range_points_to_the_last_run(busy: Shop, client_as: ClientAs) -> None:
    page = html(client_as("auditor"), "/outcomes/?from=2026-01-01T00:00&to=2026-01-02T00:00")

    assert "No runs in this range" in page
    link = re.search(r'class="btn" href="([^"]+)">Go there', page)
    assert link
    there = html(client_as("auditor"), link[1].replace("&amp;", "&"))
    assert 'id="panel-states"' in there


def test_filters_that_match_nothing_can_be_cleared(busy: Shop, client_as: ClientAs) -> None:
    page = html(client_as("auditor"), "/outcomes/?agent=nobody")

    assert "Nothing matches the filters" in page
    assert "take this filter out" in page


def test_links_of_the_tables_list_exactly_the_runs_counted(busy: Shop, client_as: ClientAs) -> None:
    page = html(client_as("auditor"), "/outcomes/")
    links = re.findall(r'<td class="r"><a\s+href="(/runs/[^"]+)"\s*>([\d,]+)</a>', page)
    assert len(links) > 8

    wrong = []
    for href, shown in links:
        query = urlsplit(href.replace("&amp;", "&")).query
        if "approval" in parse_qs(query):
            continue
        found = RunFilterForm(QueryDict(query)).wanted().rows().count()
        if found != int(shown.replace(",", "")):
            wrong.append((href, shown, found))
    assert wrong == []


def test_csv_has_iso_times_and_a_name(busy: Shop, client_as: ClientAs) -> None:
    response = client_as("auditor").get("/outcomes/states.csv?range=6h")

    lines = response.content.decode().splitlines()
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert re.match(
        r'attachment; filename="states-\d{8}T\d{4}-\d{8}T\d{4}.csv"',
        response["Content-Disposition"],
    )
    assert lines[0].startswith("From (UTC),Succeeded,Failed")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ,54,16,1,2,0,73$", lines[1])


def test_csv_of_an_unknown_chart_is_not_found(client_as: ClientAs) -> None:
    assert client_as("auditor").get("/outcomes/secrets.csv").status_code == 404


def test_outcomes_ask_the_same_number_of_questions_however_many_rows(
    busy: Shop, client_as: ClientAs, django_assert_max_num_queries: Any
) -> None:
    client = client_as("auditor")
    html(client, "/outcomes/")
    busy.runs(50, "return", at=timezone.now() - timedelta(hours=2), agent_label="other")

    with django_assert_max_num_queries(23):
        html(client, "/outcomes/")


@pytest.fixture
def mixed(shop: Shop) -> Shop:
    """Real, practice and replayed runs of one job within the hour."""
    at = timezone.now() - timedelta(minutes=30)
    shop.job("refund", target=0.9)
    shop.runs(21, "refund", at=at)
    shop.runs(22, "refund", at=at, origin="practice", state="failed", outcome="denied")
    shop.runs(23, "refund", at=at, origin="replay", state="failed", outcome="denied")
    return shop


@pytest.mark.parametrize(
    ("asked", "said", "runs"),
    [
        ("", "Real runs", 21),
        ("real", "Real runs", 21),
        ("practice", "Practice runs", 22),
        ("replay", "Replayed runs", 23),
        ("all", "Real, practice and replayed runs together", 66),
        ("nonsense", "Real runs", 21),
    ],
)
def test_outcomes_say_which_runs_they_count_and_mix_none_unasked(
    mixed: Shop, client_as: ClientAs, asked: str, said: str, runs: int
) -> None:
    client = client_as("product_manager")

    page = html(client, f"/outcomes/?origin={asked}")

    assert f">{said}</strong>" in page
    table = client.get(f"/outcomes/states.csv?origin={asked}")
    assert total(table.content.decode()) == runs
    assert ("practice" in table["Content-Disposition"]) == (asked == "practice")


def total(table: str) -> int:
    return sum(int(line.rpartition(",")[2]) for line in table.splitlines()[1:])


def test_a_practice_tower_says_that_its_numbers_are_of_practice(
    shop: Shop, client_as: ClientAs
) -> None:
    shop.job("refund", target=0.9)
    shop.runs(21, "refund", at=timezone.now() - timedelta(minutes=30), origin="practice")

    assert "Of practice runs, of seven days" in html(client_as("operator"), "/")
    assert ">Practice runs</strong>" in html(client_as("operator"), "/outcomes/")


def test_the_home_page_judges_jobs_by_real_runs_alone(mixed: Shop, client_as: ClientAs) -> None:
    page = html(client_as("product_manager"), "/")

    assert "Of real runs, of seven days" in page
    assert "real runs: 21 succeeded · 0 failed" in page
    assert "Refund is under its target" not in page


def test_a_number_of_the_outcomes_leads_to_exactly_its_runs(
    mixed: Shop, client_as: ClientAs
) -> None:
    page = html(client_as("product_manager"), "/outcomes/?origin=practice")

    links = re.findall(r'href="(/runs/\?[^"]*)"', page)
    wanted = [
        RunFilterForm(QueryDict(urlsplit(link).query.replace("&amp;", "&"))) for link in links
    ]
    assert {form.wanted().origin for form in wanted} == {"practice"}


@pytest.mark.parametrize("role", ["operator", "product_manager", "admin", "auditor"])
def test_home_asks_nothing_twice(busy: Shop, client_as: ClientAs, role: str) -> None:
    client = client_as(role)

    with CaptureQueriesContext(connection) as asked:
        html(client, "/")

    times = Counter(re.sub(r"'20\d\d-[^']*'", "'now'", query["sql"]) for query in asked)
    assert {statement: n for statement, n in times.items() if n > 1} == {}
