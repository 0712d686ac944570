"""People for tests."""

from __future__ import annotations

import factory
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from apps.accounts.domain.roles import Role
from apps.accounts.models import User


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"person{n}")
    role = Role.OPERATOR
    enrolled_at = factory.LazyFunction(timezone.now)
    password = "!"  # nobody logs in with it: tests use force_login, which is quick


PASSWORD = "correct-horse-battery"


def with_password(username: str, **fields: object) -> User:
    """Somebody who logs in with ``PASSWORD``."""
    return UserFactory.create(username=username, password=make_password(PASSWORD), **fields)
