"""Tokens at the door: who gets in, and what the others are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from apps.accounts import services
from apps.accounts.domain.tokens import Scope, digest_of, mint
from apps.accounts.models import ApiToken, User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError
from tests.api.rest.conftest import RUNS, Machine, Make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(machines: Make) -> Machine:
    return machines("reader", scopes=[Scope.RUNS_READ])


def test_only_the_digest_of_a_token_is_kept(reader: Machine) -> None:
    row = ApiToken.objects.get()
    kept = " ".join(str(getattr(row, f.attname)) for f in row._meta.concrete_fields)

    assert row.digest == digest_of(reader.token)
    assert reader.token not in kept
    assert reader.token.startswith(row.shown)
    told = Event.objects.filter(kind="token.created").get().payload
    assert told["token"] == row.shown
    assert reader.token not in str(told)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer nonsense", f"Bearer {mint(b'x' * 20)}"],
)
def test_strangers_are_told_what_to_send(db: None, header: str) -> None:
    response = Client().get(RUNS, headers={"Authorization": header} if header else {})

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer ")
    assert "Authorization" in response.json()["fix"]


@pytest.mark.parametrize("code", ["expired", "revoked", "disabled"])
def test_a_token_that_ended_opens_nothing_and_says_why(
    reader: Machine, people: dict[str, User], code: str
) -> None:
    assert reader.get(RUNS).status_code == 200
    token = ApiToken.objects.get()
    if code == "expired":
        ApiToken.objects.update(expires_at=Now() - timedelta(seconds=1))
    elif code == "revoked":
        services.revoke_token(actor=people["admin"], token_id=token.pk)
    else:
        services.disable_account(actor=people["admin"], account_id=reader.account.pk)

    response = reader.get(RUNS)

    assert response.status_code == 401
    assert response.json()["code"] == code


def test_a_missing_scope_is_named(reader: Machine) -> None:
    response = reader.start()

    assert response.status_code == 403
    assert response.json()["code"] == "scope_missing"
    assert response.json()["scope"] == "runs:start"
    assert 'scope="runs:start"' in response["WWW-Authenticate"]


def test_a_session_does_not_open_the_door(client_as: Any) -> None:
    assert client_as("admin").get(RUNS).status_code == 401


def test_the_use_of_a_token_is_seen(reader: Machine) -> None:
    assert ApiToken.objects.get().last_used_at is None

    reader.get(RUNS)

    assert ApiToken.objects.get().last_used_at is not None


def test_a_token_is_made_with_scopes_and_a_short_life(people: dict[str, User]) -> None:
    account = services.create_account(actor=people["admin"], name="erp", purpose="")
    made = {"actor": people["admin"], "account_id": account.pk, "rate_per_minute": 60}

    with pytest.raises(InvalidInputError):
        services.create_token(scopes=[], days=7, **made)
    with pytest.raises(InvalidInputError):
        services.create_token(scopes=["runs:read"], days=91, **made)
    with pytest.raises(ValueError, match="approvals"):
        services.create_token(scopes=["approvals:decide"], days=7, **made)
    with pytest.raises(ConflictError):
        services.create_account(actor=people["admin"], name="erp", purpose="")
    services.disable_account(actor=people["admin"], account_id=account.pk)
    with pytest.raises(ConflictError):
        services.create_token(scopes=["runs:read"], days=7, **made)


def test_a_token_is_revoked_once_and_the_second_is_told_by_whom(
    reader: Machine, people: dict[str, User]
) -> None:
    token = ApiToken.objects.get()
    services.revoke_token(actor=people["admin"], token_id=token.pk)

    with pytest.raises(ConflictError) as refused:
        services.revoke_token(actor=people["admin2"], token_id=token.pk)

    assert refused.value.detail["who"] == people["admin"].display_name
    assert Event.objects.filter(kind="token.revoked").count() == 1
