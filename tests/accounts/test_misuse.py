"""A token that is brought to a page of people opens nothing, and people hear of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.domain.tokens import Scope
from apps.accounts.models import ApiToken, User
from apps.accounts.services import create_account, create_token, misuse, revoke_token
from apps.audit.models import Event

ClientAs = Callable[[str], Client]
AT_ONCE = 8


@pytest.fixture
def token(people: dict[str, User]) -> str:
    admin = people["admin"]
    account = create_account(actor=admin, name="erp", purpose="")
    terms: dict[str, Any] = {"scopes": list(Scope), "days": 1, "rate_per_minute": 60}
    return create_token(actor=admin, account_id=account.pk, **terms)[1]


def machine(token: str) -> Client:
    return Client(
        enforce_csrf_checks=True,
        headers={"Authorization": f"Bearer {token}"},
        REMOTE_ADDR="203.0.113.7",
    )


def alarms() -> list[Event]:
    return list(Event.objects.filter(kind="token.misused").order_by("id"))


@pytest.mark.django_db
def test_it_is_told_who_brought_what_where_and_from_where(token: str) -> None:
    address = reverse("accounts:create")

    answer = machine(token).post(address, {"username": "x"})

    assert answer.status_code == 403
    assert "This page is for people." in answer.content.decode()
    (alarm,) = alarms()
    assert alarm.actor == "service:erp"
    shown = ApiToken.objects.get().shown
    assert alarm.payload["token"] == shown
    assert (alarm.payload["method"], alarm.payload["path"]) == ("POST", address)
    assert alarm.payload["via"]["from"] == "203.0.113.7"
    assert token not in str(alarm.payload)
    assert not User.objects.filter(username="x").exists()


@pytest.mark.django_db
def test_whoever_tries_for_long_fills_no_log(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = machine(token)
    for address in ("/approvals/", "/runs/", "/approvals/", "/audit/"):
        assert client.get(address).status_code == 403
    assert len(alarms()) == 1

    monkeypatch.setattr("apps.accounts.services.tokens.ALARM_S", 0)
    client.get("/approvals/")
    assert len(alarms()) == 2


@pytest.mark.django_db
def test_another_token_and_one_that_ended_are_alarms_of_their_own(
    token: str, people: dict[str, User]
) -> None:
    row = ApiToken.objects.get()
    terms: dict[str, Any] = {"scopes": [Scope.RUNS_READ], "days": 1, "rate_per_minute": 60}
    _, other = create_token(actor=people["admin"], account_id=row.account_id, **terms)
    revoke_token(actor=people["admin"], token_id=row.pk)

    for one in (token, other):
        assert machine(one).get("/approvals/").status_code == 403

    assert len({alarm.payload["token"] for alarm in alarms()}) == 2


@pytest.mark.django_db
def test_a_session_beside_it_opens_nothing_either(token: str, client_as: ClientAs) -> None:
    client = client_as("admin")

    assert (
        client.get("/approvals/", headers={"Authorization": f"bearer {token}"}).status_code == 403
    )
    assert len(alarms()) == 1
    assert client.get("/approvals/").status_code == 200


@pytest.mark.django_db
def test_what_is_no_token_of_ours_is_no_alarm(token: str, client_as: ClientAs) -> None:
    """A proxy may send one of its own with each request of a person."""
    unknown = token[:-1] + ("A" if token[-1] != "A" else "B")
    for brought in ("Bearer", f"Bearer {unknown}", f"Basic {token}", "Bearer eyJhbGciOi.x.y"):
        answer = client_as("admin").get("/approvals/", headers={"Authorization": brought})
        assert answer.status_code == 200
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/healthz").status_code == 200
    assert alarms() == []


@pytest.mark.django_db
def test_people_hear_of_it_for_a_day(token: str, client_as: ClientAs) -> None:
    told = "A token of the service account “erp” was brought to a page of people"
    assert told not in client_as("admin").get("/system/").content.decode()

    machine(token).get("/approvals/")

    assert told in client_as("admin").get("/system/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_one_alarm(token: str) -> None:
    start = Barrier(AT_ONCE)

    def bring() -> bool:
        try:
            start.wait()
            return misuse(token, method="GET", path="/")
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(f.result() for f in [pool.submit(bring) for _ in range(AT_ONCE)])

    assert len(alarms()) == 1
