"""The administrators' page about service accounts and their tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import ApiToken, ServiceAccount
from tests.factories.catalog import apply_toys

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
PAGE = "/accounts/users/services/"


def text(response: Any) -> str:
    return str(response.content.decode())


def made(client: Client) -> tuple[ServiceAccount, str]:
    """An account and a token, made on the page."""
    client.post(f"{PAGE}create/", {"name": "erp", "purpose": "Orders <b>"})
    account = ServiceAccount.objects.get()
    given = {"scopes": ["runs:start", "runs:read"], "days": "30", "rate": "600"}
    response = client.post(f"{PAGE}{account.pk}/token/", given)
    assert response.status_code == 201, text(response)
    found = re.search(r'id="new-token">(twr_svc_\w+)<', text(response))
    assert found is not None
    return account, found[1]


def test_a_token_is_made_shown_once_and_works(client_as: ClientAs) -> None:
    client = client_as("admin")
    assert "No system uses the API yet" in text(client.get(PAGE))

    _, token = made(client)

    page = text(client.get(PAGE))
    assert token not in page
    assert token[:14] in page
    assert "never" in page
    assert "Orders &lt;b&gt;" in page
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/runs", headers=headers).status_code == 200
    assert "never" not in text(client.get(PAGE))


def test_a_revoked_token_stays_on_the_page_with_who_and_when(client_as: ClientAs) -> None:
    client = client_as("admin")
    _, token = made(client)
    revoke = f"{PAGE}tokens/{ApiToken.objects.get().pk}/revoke/"

    assert client.post(revoke).status_code == 302
    again = client_as("admin2").post(revoke)

    assert "revoked by admin" in text(client.get(PAGE))
    assert again.status_code == 409
    assert "revoked already" in text(again)
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/runs", headers=headers).status_code == 401


def test_a_disabled_account_offers_nothing_more(client_as: ClientAs) -> None:
    client = client_as("admin")
    account, _ = made(client)

    client.post(f"{PAGE}{account.pk}/disable/")

    page = text(client.get(PAGE))
    assert "Make a token" not in page
    assert "Revoke" not in page.replace("Revoked", "")


def test_what_is_missing_is_said_at_the_form(client_as: ClientAs) -> None:
    client = client_as("admin")
    account, _ = made(client)

    nothing = client.post(f"{PAGE}{account.pk}/token/", {"days": "30", "rate": "600"})
    too_long = client.post(
        f"{PAGE}{account.pk}/token/", {"scopes": ["runs:read"], "days": "365", "rate": "600"}
    )
    taken = client.post(f"{PAGE}create/", {"name": "erp"})

    assert nothing.status_code == too_long.status_code == 422
    assert "Choose what the token may do." in text(nothing)
    assert taken.status_code == 409
    assert "is taken" in text(taken)
    assert ApiToken.objects.count() == 1


def test_a_token_can_be_for_some_jobs_and_a_budget(client_as: ClientAs, tmp_path: Path) -> None:
    apply_toys(tmp_path)
    client = client_as("admin")
    client.post(f"{PAGE}create/", {"name": "erp", "purpose": ""})
    make = f"{PAGE}{ServiceAccount.objects.get().pk}/token/"
    given = {"scopes": ["runs:start"], "days": "30", "rate": "600"}

    assert "Refund a toy (Toy shop desk)" in text(client.get(PAGE))
    wrong = client.post(make, {**given, "jobs": ["no-job"], "starts": "0", "usd": "x"})

    assert wrong.status_code == 422
    for words in ("Jobs that it may start", "Runs an hour", "Dollars a day for models"):
        assert f"{words}:" in text(wrong)
    assert 'value="runs:start" checked' in text(wrong)
    assert not ApiToken.objects.exists()

    made = client.post(make, {**given, "jobs": ["toys-refund"], "starts": "20", "usd": "2.50"})

    page = " ".join(text(made).split())
    for words in ("Jobs: toys-refund", "20 runs an hour", "$2.50 a day for models"):
        assert words in page
