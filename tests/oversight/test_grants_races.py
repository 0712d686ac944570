"""Grants under real concurrency: used as often as they say, by however many workers at once."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection, transaction

from apps.kernel.errors import ConflictError
from apps.oversight import services
from apps.oversight.models import Approval, Grant, GrantUse
from apps.oversight.services.grant_seals import bounds_of
from tests.factories.accounts import UserFactory
from tests.factories.grants import WHY, coverable, given, proposed
from tests.oversight.test_races import together

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = {"arguments.reservation_id": ("any", "")}
ROUNDS = 4


def covered(approval: Approval) -> str:
    with transaction.atomic():
        services.cover({approval.pk: approval.tool_name})
    return str(Approval.objects.values_list("state", flat=True).get(pk=approval.pk))


def test_of_many_at_once_as_many_are_covered_as_it_says() -> None:
    for turn in range(ROUNDS):
        first, second = UserFactory.create_batch(2, role="operator")
        source = coverable(f"S{turn}")
        grant = given(source, first, second, opened=OPEN)
        asked = [coverable(f"Q{turn}-{n}") for n in range(8)]

        states = together([partial(covered, approval) for approval in asked])

        grant.refresh_from_db()
        assert sorted(states) == ["approved"] * 3 + ["pending"] * 5
        assert (grant.used, grant.state) == (3, "used")
        assert sorted(GrantUse.objects.filter(grant=grant).values_list("number", flat=True)) == [
            *range(1, 4)
        ]


def test_of_the_same_at_once_none_or_one_is_covered() -> None:
    first, second = UserFactory.create_batch(2, role="operator")
    given(coverable("S"), first, second, opened=OPEN, count=50)
    same = [coverable("SAME") for _ in range(4)]
    # Each sees the others wait: a person looks at all of them.
    assert together([partial(covered, one) for one in same]) == ["pending"] * 4
    assert Grant.objects.get().used == 0


def test_revoked_and_used_at_once_nothing_is_carried_out_after_the_revocation() -> None:
    for turn in range(ROUNDS):
        first, second = UserFactory.create_batch(2, role="operator")
        grant = given(coverable(f"S{turn}"), first, second, opened=OPEN)
        asked = coverable(f"Q{turn}")

        def end(grant: Grant = grant, user: object = first) -> str:
            services.revoke_grant(grant_id=grant.pk, user=user, reason="it has to end")
            return "revoked"

        together([partial(covered, asked), end])

        asked.refresh_from_db()
        with transaction.atomic():
            assert not services.consume(asked.pk, asked.digest)
        assert Grant.objects.get(pk=grant.pk).state == "revoked"


def test_of_two_who_confirm_at_once_one_does() -> None:
    first, second, third = UserFactory.create_batch(3, role="operator")
    grant = proposed(coverable(), first, opened=OPEN)
    digest = bounds_of(grant).digest

    def confirm(user: object) -> str:
        found = services.confirm_grant(grant_id=grant.pk, user=user, digest=digest, reason=WHY)
        return str(found.state)

    said = together([partial(confirm, second), partial(confirm, third)])
    assert sorted(said) == ["active", "late"]
    with pytest.raises(ConflictError):
        confirm(third)
    assert connection.in_atomic_block is False
