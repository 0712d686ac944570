"""Every address at which somebody acts is closed to an account that can't act yet, whatever its
role; made from the addresses of the site, so that one that is added tomorrow is tested tomorrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.accounts.registry import permission
from tests.architecture.test_roles_and_urls import GUARDED, allowed, status, works_with
from tests.conftest import BACKEND

pytestmark = pytest.mark.django_db
ACTING = [a for a in GUARDED if a.permission and permission(a.permission).acts]


def unconfirmed(user: User, people: dict[str, User], settings: Any) -> None:
    user.granted_by = people["admin3"]


def not_enrolled(user: User, people: dict[str, User], settings: Any) -> None:
    user.enrolled_at = None


def without_a_factor(user: User, people: dict[str, User], settings: Any) -> None:
    settings.REQUIRE_MFA = True


@pytest.mark.parametrize("hinder", [unconfirmed, not_enrolled, without_a_factor])
def test_no_address_lets_them_act(
    people: dict[str, User],
    settings: Any,
    hinder: Callable[[User, dict[str, User], Any], None],
) -> None:
    settings.FORMS_PER_MINUTE = 100_000
    clients = {}
    for role in Role:
        user = people[role.value]
        hinder(user, people, settings)
        user.save()
        clients[role.value] = Client()
        clients[role.value].force_login(user, backend=BACKEND)

    found = {
        (address.name, role): status(clients[role], address, works_with(Client(), address))
        for address in ACTING
        for role in allowed(address)
    }

    assert len(found) > 50
    assert found == dict.fromkeys(found, 403)
