"""People for tests."""

from __future__ import annotations

import factory
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from apps.accounts.domain.roles import Role
from apps.accounts.models import Membership, Team, User


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    role = Role.OPERATOR
    enrolled_at = factory.LazyFunction(timezone.now)
    password = "!"  # nobody logs in with it: tests use force_login, which is quick

    @factory.post_generation
    def teams(self: User, create: bool, extracted: list[Team] | None, **_: object) -> None:  # type: ignore[misc]  # as factory_boy calls it
        """Operators are in the team that decides everything, unless a test names others."""
        if not create or (extracted is None and self.role != Role.OPERATOR):
            return
        for team in [everyone()] if extracted is None else extracted:
            Membership.objects.create(team=team, user=self)


def everyone() -> Team:
    """The team that the migration made; of tests that empty the tables, made anew."""
    return Team.objects.get_or_create(name="Everyone", defaults={"takes_new": True})[0]


class TeamFactory(factory.django.DjangoModelFactory[Team]):
    class Meta:
        model = Team

    name = factory.Sequence(lambda n: f"Team {n}")


PASSWORD = "correct-horse-battery"


def with_password(username: str, **fields: object) -> User:
    """Somebody who logs in with ``PASSWORD``."""
    return UserFactory.create(username=username, password=make_password(PASSWORD), **fields)
