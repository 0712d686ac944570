"""Desks: a panel of the home page, a switch, and rows that came with an earlier release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from apps.audit.models import Event
from apps.catalog.models import Domain
from controltower.practice.desks import ensure_desks, panel, set_desk, take_case
from controltower.practice.models import Desk
from tests.dashboards.rows import Shop

pytestmark = pytest.mark.django_db
ClientAs = Callable[[str], Client]


@pytest.fixture
def shop(db: None, people: dict[str, Any]) -> Shop:
    """A domain with a job, whose desk is open."""
    made = Shop()
    made.job("refund", target=0.9)
    Desk.objects.create(domain_slug="shop", per_minute=2, next_case_at=timezone.now())
    return made


def html(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def test_desks_tell_when_the_next_case_comes(shop: Shop) -> None:
    due = timezone.now() + timedelta(seconds=30)
    Desk.objects.update(per_minute=3, next_case_at=due)
    Desk.objects.create(domain_slug="x", next_case_at=timezone.now() - timedelta(seconds=30))

    first, other = panel()["desks"]

    assert (first.name, first.is_open, first.per_minute) == ("Shop desk", True, 3)
    assert 20 < first.next_in_s <= 30
    assert (other.name, other.next_in_s) == ("x", 0)


def test_domains_without_jobs_are_missing_packs(shop: Shop) -> None:
    Domain.objects.create(slug="airline", name="Airline")

    found = panel()

    assert (found["domains_without_jobs"], found["has_any_job"]) == (["airline"], True)


def test_the_panel_stands_on_the_home_page(shop: Shop, client_as: ClientAs) -> None:
    page = html(client_as("operator"), "/")

    assert '<h2 id="desk-title">Desks</h2>' in page
    assert "Close the desk" in page


@pytest.mark.parametrize(
    ("role", "status"),
    [("operator", 302), ("admin", 302), ("product_manager", 403), ("auditor", 403)],
)
def test_desk_is_switched_by_those_who_may(
    shop: Shop, client_as: ClientAs, role: str, status: int
) -> None:
    response = client_as(role).post("/practice/desk/shop/", {"open": "0"})

    assert response.status_code == status
    assert Desk.objects.get().is_open is (status == 403)
    assert Event.objects.filter(kind="desk.closed").exists() is (status == 302)


def test_desk_switch_is_hidden_from_those_who_may_not(shop: Shop, client_as: ClientAs) -> None:
    assert "Close the desk" in html(client_as("operator"), "/home/desk/")
    assert "Close the desk" not in html(client_as("auditor"), "/home/desk/")
    assert "2 cases a minute, next in" in html(client_as("auditor"), "/home/desk/")


def test_a_desk_that_is_not_there_is_not_found(shop: Shop, client_as: ClientAs) -> None:
    assert client_as("admin").post("/practice/desk/moon/", {"open": "1"}).status_code == 404
    assert client_as("admin").get("/practice/desk/shop/").status_code == 405


# --- an upgrade -----------------------------------------------------------------------------------


def migrate(targets: Any = None) -> None:
    """To these, or to today's."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


@pytest.fixture
def released(transactional_db: None) -> Iterator[Any]:
    """The state in which desks were of runs; as it is now again afterwards, whatever happens."""
    try:
        before = [("practice", None), ("runs", "0023_duties_stand_beside_the_log")]
        migrate(before)
        yield MigrationExecutor(connection).loader.project_state(before[1:]).apps
    finally:
        migrate()


def test_desks_of_the_released_state_are_carried_on(
    released: Any, people: dict[str, Any], client_as: ClientAs
) -> None:
    due = timezone.now() - timedelta(seconds=1)
    old = released.get_model("runs", "Desk")
    old.objects.create(domain_slug="shop", per_minute=7, next_index=41, next_case_at=due)
    old.objects.create(domain_slug="moon", is_open=False, changed_by="user:operator")
    Event.objects.create(
        kind="desk.closed", actor="user:operator", subject_type="desk", subject_id="moon"
    )

    migrate()

    assert old.objects.count() == 2  # a process of the release before still finds its table
    moon = Desk.objects.get(domain_slug="moon")
    assert (moon.is_open, moon.changed_by) == (False, "user:operator")
    assert (take_case("shop"), take_case("shop"), take_case("moon")) == (41, None, None)
    ensure_desks(["shop", "moon", "new"])
    assert Desk.objects.get(domain_slug="shop").per_minute == 7
    set_desk("moon", True, people["operator"].actor)
    assert take_case("moon") == 0
    log = html(client_as("auditor"), "/audit/")
    assert log.count("desk.closed") >= 1
    assert "desk.opened" in log
