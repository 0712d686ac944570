"""Two who plan to be away at once: nobody closes a circle, and nobody is away twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError
from apps.oversight import services
from apps.oversight.models import Absence
from apps.oversight.services.away import AbsencePlan
from tests.factories.accounts import UserFactory
from tests.oversight.test_races import together

ROUNDS = 10
pytestmark = pytest.mark.django_db(transaction=True)


def planner(person: User, stand_in: User | None) -> Callable[[], str]:
    later = timezone.now() + timedelta(days=2)

    def call() -> str:
        asked = AbsencePlan(person.pk, later, "Holiday", None, stand_in.pk if stand_in else None)
        try:
            return services.set_absence(by=person, plan=asked).reason
        except InvalidInputError as error:
            return str(error.detail["field"])

    return call


def test_of_two_who_name_each_other_at_once_one_is_refused() -> None:
    for _ in range(ROUNDS):
        ana, bo = UserFactory.create_batch(2)

        said = together([planner(ana, bo), planner(bo, ana)])

        assert sorted(said) == ["Holiday", "stand_in"]
        assert Absence.objects.filter(person__in=[ana, bo]).count() == 1


def test_of_two_absences_of_one_person_at_once_one_is_refused() -> None:
    for _ in range(ROUNDS):
        ana = UserFactory.create()

        said = together([planner(ana, None), planner(ana, None)])

        assert sorted(said) == ["Holiday", "from"]
        assert Absence.objects.filter(person=ana).count() == 1
