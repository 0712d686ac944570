"""Every address, every role: who gets in is exactly what the table of permissions says.

The cases are made from the URL configuration, so an address that is added tomorrow is tested
tomorrow; one without a named permission fails here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.accounts.domain.roles import Role
from apps.accounts.domain.tokens import Scope
from apps.accounts.models import User
from apps.accounts.registry import permission, permissions
from apps.accounts.services import create_account, create_token
from tests.conftest import BACKEND

ClientAs = Callable[[str], Client]
OPEN_TO_STRANGERS = {
    "accounts:login",
    "accounts:enrol",
    "accounts:second",
    "accounts:passkey_ask",
    "accounts:passkey_show",
    "accounts:provider",
    "accounts:provider_back",
    "api:health",
    "api:ready",
    # the description of the API, and the answers that there is nothing
    "rest:openapi-json",
    "rest:api-root",
    "rest-nowhere",
}
SAMPLES: dict[str, Any] = {
    "uuid": uuid.UUID("01900000-0000-7000-8000-000000000001"),
    "uuidstr": "01900000-0000-7000-8000-000000000001",
    "slug": "none",
    "int": 999_999,
    "str": "none",
    "path": "none",
}
# What an address needs to be told before it can answer anything but "which?".
QUERIES = {"api:events": "?stream=tower"}
ROLES = [role.value for role in Role]
WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE|TRUNCATE)\b", re.IGNORECASE)
# What is written of a reading is that it was read.
SESSION = re.compile(r"django_session|last_login|^\s*INSERT INTO audit_event\b")


@dataclass(frozen=True)
class Address:
    name: str
    url: str
    permission: str | None
    scopes: tuple[tuple[str, str], ...] | None = None  # (method, scope) of an address of the API


def addresses(resolver: URLResolver | None = None, space: str = "") -> Iterator[Address]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            inner = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from addresses(entry, inner)
        else:
            yield _address(entry, space)


def _address(entry: URLPattern, space: str) -> Address:
    name = f"{space}{entry.name}"
    kinds = re.findall(r"<(?:(\w+):)?(\w+)>", str(entry.pattern))
    values = {argument: SAMPLES[kind or "str"] for kind, argument in kinds}
    permission = getattr(entry.callback, "permission", None)
    scopes = getattr(entry.callback, "scopes", None)
    listed = tuple(sorted(scopes.items())) if scopes else None
    return Address(name, reverse(name, kwargs=values) + QUERIES.get(name, ""), permission, listed)


ALL = list(addresses())
# Addresses of the API open to tokens, not to sessions.
SCOPED = [a for a in ALL if a.scopes]
GUARDED = [a for a in ALL if a.name not in OPEN_TO_STRANGERS and a not in SCOPED]


def named(address: Address) -> str:
    return address.name


def allowed(address: Address) -> set[str]:
    assert address.permission is not None
    return {role.value for role in permission(address.permission).roles}


def status(client: Client, address: Address, method: str) -> int:
    response = getattr(client, method)(address.url)
    if response.streaming:
        list(response.streaming_content)
    return int(response.status_code)


def works_with(client: Client, address: Address) -> str:
    """``get`` or ``post``: the first method that the address knows."""
    return "post" if status(client, address, "get") == 405 else "get"


@pytest.mark.parametrize("address", GUARDED, ids=named)
def test_address_names_its_permission(address: Address) -> None:
    assert address.permission in {p.name for p in permissions()}


@pytest.mark.django_db
@pytest.mark.parametrize("address", GUARDED, ids=named)
def test_strangers_are_sent_to_the_log_in(address: Address) -> None:
    client = Client()

    response = getattr(client, works_with(client, address))(address.url)

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


@pytest.mark.django_db
@pytest.mark.parametrize("address", GUARDED, ids=named)
def test_roles_get_in_as_the_table_says(address: Address, people: dict[str, User]) -> None:
    """A role that is not allowed gets 403 for every method; one that is gets anything else. What
    an allowed POST does is the business of other tests: here it stops at the missing token."""
    found: dict[str, str] = {}
    for role in ROLES:
        client = Client(enforce_csrf_checks=False)
        client.force_login(people[role], backend=BACKEND)
        method = works_with(client, address)
        if method == "post" and role in allowed(address):
            client = Client(enforce_csrf_checks=True)
            client.force_login(people[role], backend=BACKEND)
            assert status(client, address, "post") == 403, "a POST without token must be refused"
            found[role] = "in"
        else:
            found[role] = "out" if status(client, address, method) == 403 else "in"

    wanted = {role: "in" if role in allowed(address) else "out" for role in ROLES}
    assert found == wanted


@pytest.mark.django_db
@pytest.mark.parametrize("address", GUARDED, ids=named)
def test_reading_changes_nothing(address: Address, people: dict[str, User]) -> None:
    role = sorted(allowed(address))[0]
    client = Client()
    client.force_login(people[role], backend=BACKEND)

    with CaptureQueriesContext(connection) as queries:
        status(client, address, "get")

    written = [q["sql"] for q in queries if WRITES.match(q["sql"]) and not SESSION.search(q["sql"])]
    assert written == []


@pytest.mark.django_db
@pytest.mark.parametrize("address", ALL, ids=named)
def test_every_answer_carries_the_security_headers(
    address: Address, people: dict[str, User]
) -> None:
    client = Client()
    client.force_login(people["admin"], backend=BACKEND)

    response = client.get(address.url)
    if response.streaming:
        list(response.streaming_content)

    policy = response["Content-Security-Policy"]
    assert "object-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert re.search(r"script-src [^;]*", policy)
    assert "unsafe-inline" not in re.findall(r"script-src [^;]*", policy)[0]
    assert "unsafe-eval" not in policy
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ALL, ids=named)
def test_every_script_bears_the_nonce_of_its_answer(
    address: Address, people: dict[str, User]
) -> None:
    """And another one each time, so that a script that somebody smuggled in can't know it."""
    client = Client()
    client.force_login(people["admin"], backend=BACKEND)

    found = [client.get(address.url) for _ in range(2)]
    if found[0].streaming or b"<html" not in found[0].content:
        pytest.skip("no page of its own")

    nonces = set()
    for response in found:
        (nonce,) = re.findall(r"'nonce-([^']{16,})'", response["Content-Security-Policy"])
        scripts = re.findall(r"<script\b[^>]*>", response.content.decode())
        assert scripts
        assert [tag for tag in scripts if f'nonce="{nonce}"' not in tag] == []
        nonces.add(nonce)
    assert len(nonces) == 2


def test_nothing_is_open_to_strangers_by_accident() -> None:
    unnamed = {a.name for a in ALL if a.permission is None and not a.scopes}
    assert unnamed == OPEN_TO_STRANGERS


@pytest.mark.django_db
@pytest.mark.parametrize("address", SCOPED, ids=named)
def test_no_role_opens_the_api_without_a_token(address: Address, people: dict[str, User]) -> None:
    for method, _ in address.scopes or ():
        assert status(Client(), address, method.lower()) == 401
        for role in ROLES:
            client = Client()
            client.force_login(people[role], backend=BACKEND)
            assert status(client, address, method.lower()) == 401


@pytest.mark.django_db
@pytest.mark.parametrize("address", SCOPED, ids=named)
def test_a_token_opens_what_its_scopes_say(address: Address, people: dict[str, User]) -> None:
    account = create_account(actor=people["admin"], name="erp", purpose="")
    found: dict[tuple[str, str], bool] = {}
    for scope in Scope:
        _, token = create_token(
            actor=people["admin"], account_id=account.pk, scopes=[scope], days=1, rate_per_minute=60
        )
        client = Client(headers={"Authorization": f"Bearer {token}"})
        for method, _ in address.scopes or ():
            answer = status(client, address, method.lower())
            assert answer != 401
            found[method, str(scope)] = answer != 403

    wanted = {(m, str(s)): str(s) == w for m, w in address.scopes or () for s in Scope}
    assert found == wanted


@pytest.mark.django_db
def test_a_token_is_nobody_at_the_doors_of_people(people: dict[str, User]) -> None:
    """Decide, publish, change a rule: whatever its scopes, a token is a stranger there."""
    account = create_account(actor=people["admin"], name="erp", purpose="")
    _, token = create_token(
        actor=people["admin"], account_id=account.pk, scopes=list(Scope), days=1, rate_per_minute=60
    )
    client = Client(headers={"Authorization": f"Bearer {token}"})

    found = {a.name: status(client, a, works_with(client, a)) for a in GUARDED}

    assert found == dict.fromkeys(found, 403)


def test_only_operators_decide_and_only_admins_change_the_rules() -> None:
    """Written out on purpose: loosening one of these is a decision, not a slip."""
    wanted = {
        "approvals.decide": {"operator"},
        "catalog.edit": {"admin"},
        "policy.edit": {"admin"},
        "users.manage": {"admin"},
        "runs.control": {"operator", "admin"},
        "runs.reconcile": {"operator"},
        "desk.control": {"operator", "admin"},
        "audit.view": {"admin", "auditor"},
        "values.unmask": {"admin", "auditor"},
    }

    assert {p: {r.value for r in permission(p).roles} for p in wanted} == wanted
