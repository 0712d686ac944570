"""Several who delegate, decide or give back one question at once: one is first, others are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.models import Approval, Delegation
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ApprovalFactory
from tests.oversight.test_races import decider, together

ROUNDS = 10
pytestmark = pytest.mark.django_db(transaction=True)


def delegator(approval: Approval, user: User, to: User) -> Callable[[], str]:
    def call() -> str:
        given = {"approval_id": approval.pk, "user": user, "to_id": to.pk}
        return services.delegate(**given, note="You know her", seen=0).to.username

    return call


def test_of_two_who_delegate_at_once_one_is_first() -> None:
    ana, bo, cy, di = UserFactory.create_batch(4)
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()

        said = together([delegator(approval, ana, cy), delegator(approval, bo, di)])

        open_one = Delegation.objects.get(approval=approval, over_at=None)
        approval.refresh_from_db()
        assert Delegation.objects.filter(approval=approval).count() == 1
        assert approval.claimed_by == open_one.to
        # The second finds it claimed by whom the first delegated it to.
        assert sorted(said) == sorted([open_one.to.username, "claimed"])


def test_who_decides_and_who_delegates_at_once_do_not_both() -> None:
    ana, bo, cy = UserFactory.create_batch(3)
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()

        decided, delegated = together([decider(approval, ana, True), delegator(approval, bo, cy)])

        approval.refresh_from_db()
        outcomes = {("approved", "decided"): "approved", ("claimed", cy.username): "pending"}
        assert outcomes[decided, delegated] == approval.state
        assert Delegation.objects.filter(approval=approval).exists() == (decided == "claimed")
