"""What every test may ask for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.catalog.adapters import sdk
from apps.runs.selectors import stops
from tests.factories.accounts import UserFactory
from tests.tampering import let_tests_empty_tables

ROLES = {
    "operator": Role.OPERATOR,
    "operator2": Role.OPERATOR,
    "product_manager": Role.PRODUCT_MANAGER,
    "admin": Role.ADMIN,
    "admin2": Role.ADMIN,
    "admin3": Role.ADMIN,
    "auditor": Role.AUDITOR,
}
BACKEND = f"{ModelBackend.__module__}.{ModelBackend.__qualname__}"

# The tests' own connections wait longer than the product's: on a machine with too much to do, a
# test may stand still in its transaction for as long as the others need.
PATIENT = (
    "-c statement_timeout=120s -c lock_timeout=60s -c idle_in_transaction_session_timeout=240s"
)
# A slow machine is no fault. In CI every run tries the same examples, so that it is red only for
# what was changed; elsewhere each run looks for new ones.
hypothesis.register_profile(
    "tower",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("TOWER_SAME_EXAMPLES") == "1",
)
hypothesis.load_profile("tower")


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Set before the first connection; processes that tests start have the product's limits."""
    settings.DATABASES["default"]["OPTIONS"]["options"] = PATIENT


@pytest.fixture(scope="session", autouse=True)
def emptied() -> None:
    """Also tables that refuse it."""
    let_tests_empty_tables()


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """As in a worker, which loads it before it begins: no call of a test waits for it."""
    sdk.load()


@pytest.fixture(scope="session", autouse=True)
def static_root() -> None:
    """Whitenoise warns of a missing folder; files themselves come from their sources in tests."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session", autouse=True)
def fresh_banner() -> None:
    """Each page asks for the stops in force: otherwise what an earlier test's page knew would be
    shown, and how many queries a page takes would depend on the moment."""
    stops.BANNER_S = 0.0


@pytest.fixture(autouse=True)
def own_checkpoints(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each test's log begins anew, and so do its checkpoints; processes that it starts agree."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    file = str(tmp_path_factory.getbasetemp() / f"{name}.checkpoints")
    monkeypatch.setenv("TOWER_AUDIT_CHECKPOINTS", file)
    monkeypatch.setattr(settings, "AUDIT_CHECKPOINTS", file)


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role, a second operator, and two more administrators."""
    return {name: UserFactory.create(username=name, role=role) for name, role in ROLES.items()}


@pytest.fixture
def client_as(people: dict[str, User]) -> Callable[[str], Client]:
    """``client_as("operator")``: a test client with that person logged in."""

    def make(name: str) -> Client:
        client = Client()
        client.force_login(people[name], backend=BACKEND)
        return client

    return make
