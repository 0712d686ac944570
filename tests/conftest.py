"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.test import Client

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from tests.factories.accounts import UserFactory

ROLES = {
    "operator": Role.OPERATOR,
    "operator2": Role.OPERATOR,
    "product_manager": Role.PRODUCT_MANAGER,
    "admin": Role.ADMIN,
    "admin2": Role.ADMIN,
    "auditor": Role.AUDITOR,
}
BACKEND = f"{ModelBackend.__module__}.{ModelBackend.__qualname__}"


@pytest.fixture(scope="session", autouse=True)
def static_root() -> None:
    """Whitenoise warns of a missing folder; files themselves come from their sources in tests."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role, and a second operator and administrator."""
    return {name: UserFactory.create(username=name, role=role) for name, role in ROLES.items()}


@pytest.fixture
def client_as(people: dict[str, User]) -> Callable[[str], Client]:
    """``client_as("operator")``: a test client with that person logged in."""

    def make(name: str) -> Client:
        client = Client()
        client.force_login(people[name], backend=BACKEND)
        return client

    return make
