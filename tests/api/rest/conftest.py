"""A toy shop with a published job, and machines that may use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.domain.tokens import Scope
from apps.accounts.models import ServiceAccount, User
from apps.accounts.services import create_account, create_token
from tests.factories.accounts import UserFactory
from tests.factories.catalog import CONTRACT, apply_toys

RUNS = "/api/v1/runs"
INPUT = """\
input:
  type: object
  properties:
    request: {type: string}
    order: {type: string, pattern: "^W[0-9]+$"}
  required: [request]
  additionalProperties: false
outcome:
"""
BODY: dict[str, Any] = {
    "job": "toys-refund",
    "input": {"request": "My robot is broken.", "order": "W12"},
    "customer": "ida",
    "reference": "ticket-7",
    "script": [
        {"call": {"tool": "find_order", "args": {"order_id": "W12"}}},
        {"done": "Looked at the order."},
    ],
}


@dataclass
class Machine:
    """A company's system: an account, and how it calls."""

    account: ServiceAccount
    token: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {} if body is None else {"data": body if isinstance(body, str) else json.dumps(body)}
        return getattr(Client(), method)(
            path,
            **sent,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.token}", **headers},
        )

    def get(self, path: str) -> Any:
        return self.call("get", path)

    def start(self, key: str | None = None, **changes: Any) -> Any:
        body = {**BODY, **changes}
        return self.call("post", RUNS, body, **{"Idempotency-Key": key or str(uuid4())})

    def cancel(self, run_id: str, key: str | None = None, reason: str = "no need") -> Any:
        path = f"{RUNS}/{run_id}/cancel"
        return self.call("post", path, {"reason": reason}, **{"Idempotency-Key": key or "cancel"})


Make = Callable[..., Machine]


@pytest.fixture
def machines() -> Make:
    """``machines("erp", scopes=[…])``: a service account with a token."""

    def make(
        name: str = "erp", scopes: Any = tuple(Scope), rate: int = 6000, by: User | None = None
    ) -> Machine:
        admin = by or UserFactory.create(role="admin")
        account = create_account(actor=admin, name=name, purpose="tests")
        _, token = create_token(
            actor=admin, account_id=account.pk, scopes=scopes, days=7, rate_per_minute=rate
        )
        return Machine(account, token)

    return make


@pytest.fixture
def shop(tmp_path: Path) -> None:
    """The toy shop's pack, whose job asks for an input."""
    apply_toys(tmp_path, contract=CONTRACT.replace("outcome:\n", INPUT, 1))


@pytest.fixture
def erp(db: None, shop: None, machines: Make) -> Machine:
    """A machine that may do everything."""
    return machines()
