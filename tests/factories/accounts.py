"""People for tests."""

from __future__ import annotations

import factory

from apps.accounts.domain.roles import Role
from apps.accounts.models import User


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"person{n}")
    role = Role.OPERATOR
    password = "!"  # nobody logs in with it: tests use force_login, which is quick
