"""Saved views: one's own, shared ones, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.test import Client

from apps.accounts import selectors, services
from apps.accounts.domain import saved
from apps.accounts.models import SavedView, User
from apps.kernel.errors import ConflictError, NotFoundError

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
SAVE = "/accounts/views/save/"
RUNS = {"page": "runs:list", "name": "Refunds that failed", "query": "state=failed&q=refund"}


def page_of(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize(
    "page", ["runs:list", "approvals:queue", "dashboards:outcomes", "audit:list"]
)
def test_a_view_is_saved_and_stands_on_its_page_until_it_is_deleted(
    client_as: ClientAs, page: str
) -> None:
    client = client_as("auditor")

    made = client.post(SAVE, {**RUNS, "page": page, "query": "?before=9&q=late"})

    assert made.status_code == 302
    assert made["Location"].endswith("?q=late")
    shown = page_of(client, made["Location"])
    assert '<span class="isolate">Refunds that failed</span></span></button>' in shown
    assert "Saved the view “Refunds that failed”, for you." in shown
    view = SavedView.objects.get()
    client.post(f"/accounts/views/{view.pk}/delete/")
    assert "No views yet" in page_of(client, made["Location"])


def test_ones_own_are_nobody_elses_and_shared_ones_everybodys(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    client_as("operator").post(SAVE, RUNS)
    client_as("operator").post(SAVE, {**RUNS, "name": "For us all", "shared": "1"})

    others = page_of(client_as("operator2"), "/runs/")

    assert "For us all" in others
    assert people["operator"].display_name in others
    assert "Refunds that failed" not in others
    assert "Delete the view" not in others
    view = SavedView.objects.get(name="For us all")
    assert client_as("operator2").post(f"/accounts/views/{view.pk}/delete/").status_code == 404
    User.objects.filter(pk=people["operator"].pk).update(is_active=False)
    assert "For us all" not in page_of(client_as("operator2"), "/runs/")


def test_ones_own_stand_first_however_many_colleagues_share(people: dict[str, User]) -> None:
    mine = SavedView.objects.create(owner=people["operator"], page="runs:list", name="Ÿ mine")
    SavedView.objects.bulk_create(
        SavedView(owner=people["admin"], page="runs:list", name=f"! {n}", shared=True)
        for n in range(selectors.SHOWN_VIEWS)
    )

    shown = selectors.saved_views(people["operator"], "runs:list")

    assert shown[0] == mine
    assert len(shown) == selectors.SHOWN_VIEWS


def test_the_same_name_replaces_ones_own_view_and_says_so(client_as: ClientAs) -> None:
    client = client_as("operator")
    client.post(SAVE, RUNS)
    again = client.post(SAVE, {**RUNS, "query": "state=unknown", "shared": "1"})
    client_as("operator2").post(SAVE, RUNS)

    assert "Replaced the view" in page_of(client, again["Location"])
    assert SavedView.objects.filter(name=RUNS["name"]).count() == 2
    mine = SavedView.objects.get(query="state=unknown")
    assert mine.shared


def test_a_page_that_one_may_not_open_has_no_views(client_as: ClientAs) -> None:
    assert client_as("operator").post(SAVE, {**RUNS, "page": "audit:list"}).status_code == 404
    assert client_as("operator").post(SAVE, {**RUNS, "page": "accounts:users"}).status_code == 404
    assert client_as("operator").post(SAVE, {**RUNS, "page": "//evil.example"}).status_code == 404
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "This field is required."),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"query": "q=" + "x" * 3000}, "The filters are too long to be kept."),
    ],
)
def test_what_is_wrong_is_told_in_the_form(
    client_as: ClientAs, wrong: dict[str, str], said: str
) -> None:
    refused = client_as("operator").post(SAVE, {**RUNS, **wrong}, headers={"HX-Request": "true"})

    assert refused.status_code == 422
    assert said in refused.content.decode()
    assert not SavedView.objects.exists()


def test_a_name_is_text_whatever_it_says(client_as: ClientAs) -> None:
    name = "<script>alert(1)</script>\u202e"
    made = client_as("operator").post(SAVE, {**RUNS, "name": name})

    shown = page_of(client_as("operator"), made["Location"])

    assert "<script>alert" not in shown
    assert "\u202e" not in shown.partition("views-menu")[2].partition("</ul>")[0]


def test_nobody_keeps_more_than_fifty(people: dict[str, User]) -> None:
    who = people["operator"]
    some = [SavedView(owner=who, page="runs:list", name=f"{n}") for n in range(saved.MOST - 1)]
    SavedView.objects.bulk_create(some)

    services.save_view(by=who, page="runs:list", name="last", query="", shared=False)
    with pytest.raises(ConflictError, match="delete one"):
        services.save_view(by=who, page="runs:list", name="more", query="", shared=False)
    services.save_view(by=who, page="runs:list", name="last", query="q=1", shared=False)


@pytest.mark.django_db(transaction=True)
def test_saved_at_once_under_one_name_one_view_is_left(people: dict[str, User]) -> None:
    who, barrier, failed = people["operator"], Barrier(6), []

    def save(n: int) -> None:
        barrier.wait()
        try:
            services.save_view(by=who, page="runs:list", name="one", query=f"q={n}", shared=False)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [Thread(target=save, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    assert SavedView.objects.count() == 1


def test_a_disabled_person_saves_nothing(people: dict[str, User]) -> None:
    with pytest.raises(NotFoundError):
        services.save_view(
            by=people["operator"], page="audit:list", name="x", query="", shared=True
        )
