"""Who had a part in what is decided can't be the second person: not of a request, not of the terms
that it is decided by, not with somebody whose account they made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Membership, User
from apps.accounts.services import enrol
from apps.accounts.services import people as accounts
from apps.audit import services as audit
from apps.audit.domain.actors import SETUP, Actor
from apps.audit.models import Event
from apps.catalog.models import ContractVersion
from apps.kernel.errors import NotPermittedError
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.models import Approval
from apps.policy.models import Decision, PolicyVersion
from tests.factories.accounts import PASSWORD, everyone
from tests.factories.approvals import ApprovalFactory, decide
from tests.factories.catalog import apply_toys
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document

pytestmark = pytest.mark.django_db
People = dict[str, User]


def become_operator(person: User) -> None:
    """As if they had been one all along: nobody gave them the role lately."""
    User.objects.filter(pk=person.pk).update(role="operator")
    Membership.objects.create(team=everyone(), user=person)
    person.refresh_from_db()


def happened(kind: str, run_id: UUID, actor: Actor) -> None:
    with transaction.atomic():
        audit.record(kind=kind, actor=actor, subject_type="run", subject_id=run_id, run_id=run_id)


@pytest.mark.parametrize(
    ("kind", "had"),
    [("run.accepted", "asked for this run"), ("run.compensating", "asked for this undo")],
)
def test_whoever_asked_for_a_run_or_its_undo_cannot_approve_its_steps(
    people: People, kind: str, had: str
) -> None:
    approval = ApprovalFactory.create()
    happened(kind, approval.run_id, people["operator"].actor)

    with pytest.raises(NotPermittedError, match=f"you {had}. Another person has to"):
        decide(approval, people["operator"])
    assert Approval.objects.get(pk=approval.pk).state == "pending"
    assert decide(approval, people["operator2"]).state == "approved"


def test_they_can_reject_it(people: People) -> None:
    approval = ApprovalFactory.create()
    happened("run.accepted", approval.run_id, people["operator"].actor)

    assert decide(approval, people["operator"], approve=False).state == "rejected"


def next_version(version: Any, people: People, *, number: int) -> None:
    """One that two people wrote and published."""
    version.pk, version.number = None, number
    version.author, version.approver = people["operator"], people["admin"]
    version.save(force_insert=True)


@pytest.mark.parametrize(
    "actor", [Actor.service("operator"), Actor.system("desk"), Actor.agent("operator")]
)
def test_a_system_of_the_same_name_is_nobody(people: People, actor: Actor) -> None:
    approval = ApprovalFactory.create()
    happened("run.accepted", approval.run_id, actor)
    happened("run.paused", approval.run_id, people["operator"].actor)
    happened("run.accepted", new_id(), people["operator"].actor)

    assert decide(approval, people["operator"]).state == "approved"


def test_whoever_wrote_the_contracts_version_cannot(people: People, tmp_path: Any) -> None:
    apply_toys(tmp_path)
    version = ContractVersion.objects.first()
    assert version is not None
    by_a_pack, number = version.number, version.number + 1
    next_version(version, people, number=number)
    terms = {"job_slug": version.job.slug}
    approval = ApprovalFactory.create(**terms, contract_number=number)
    other = ApprovalFactory.create(**terms, contract_number=by_a_pack)

    with pytest.raises(NotPermittedError, match="wrote this version of the contract"):
        decide(approval, people["operator"])
    assert decide(other, people["operator"]).state == "approved"


def test_whoever_wrote_the_policys_version_cannot(people: People) -> None:
    published("toys", text=document(), schema=SCHEMA)
    version = PolicyVersion.objects.get()
    next_version(version, people, number=version.number + 1)
    approval = ApprovalFactory.create()
    Decision.objects.create(
        id=approval.decision_id,
        policy_version=version,
        run_id=approval.run_id,
        step_id=approval.step_id,
        action="refund",
        answer="hold",
        request_digest="d",
    )

    with pytest.raises(NotPermittedError, match="wrote this version of the policy"):
        decide(approval, people["operator"])


@pytest.mark.parametrize("first_is_maker", [True, False])
def test_two_votes_are_not_of_one_who_made_the_others_account(
    people: People, first_is_maker: bool
) -> None:
    maker = people["admin"]
    _, code = accounts.create_user(
        actor=maker, username="new", role="operator", full_name="New Person"
    )
    made = enrol(code=code, password=PASSWORD)
    become_operator(maker)
    approval = ApprovalFactory.create(votes_required=2)
    first, second = (maker, made) if first_is_maker else (made, maker)
    decide(approval, first)

    with pytest.raises(NotPermittedError, match=r"made or reset"):
        decide(approval, second)
    assert decide(approval, people["operator"]).state == "approved"


def test_accounts_that_the_tower_made_are_of_nobody_with_its_name(people: People) -> None:
    """Who is called like the part of the tower that made the first log-ins made none of them."""
    with transaction.atomic():
        of_other = {"subject_type": "user", "subject_id": people["operator2"].pk}
        audit.record(kind="user.created", actor=SETUP, **of_other)
    User.objects.filter(pk=people["operator"].pk).update(username=SETUP.name)
    people["operator"].refresh_from_db()
    approval = ApprovalFactory.create(votes_required=2)
    decide(approval, people["operator2"])

    assert decide(approval, people["operator"]).state == "approved"


@pytest.mark.parametrize("requester_is_maker", [True, False])
def test_whoever_asked_for_it_made_not_the_account_that_approves(
    people: People, requester_is_maker: bool
) -> None:
    """One admin who asks for a run, resets an operator and logs in as that operator is alone."""
    admin, operator = people["admin"], people["operator"]
    _, code = accounts.reset_access(actor=admin, user_id=operator.pk)
    operator = enrol(code=code, password=PASSWORD)
    become_operator(admin)
    asked, answers = (admin, operator) if requester_is_maker else (operator, admin)
    approval = ApprovalFactory.create()
    happened("run.accepted", approval.run_id, asked.actor)

    with pytest.raises(NotPermittedError, match="asked for this run"):
        decide(approval, answers)
    assert decide(approval, people["operator2"]).state == "approved"


def test_accounts_are_only_looked_up_where_two_would_vote_together(people: People) -> None:
    approval = ApprovalFactory.create()

    with CaptureQueriesContext(connection) as asked:
        assert services.parties_for(approval, people["operator"], []) == {}

    assert [q["sql"] for q in asked if "user.password_reset" in q["sql"]] == []


@pytest.mark.parametrize("days", [6, 8])
def test_a_reset_counts_for_a_week(people: People, days: int) -> None:
    maker = people["admin"]
    _, code = accounts.reset_access(actor=maker, user_id=people["operator"].pk)
    people["operator"] = enrol(code=code, password=PASSWORD)
    become_operator(maker)
    age = timedelta(days=days)
    with transaction.atomic():
        backdate(age)
    approval = ApprovalFactory.create(votes_required=2)
    decide(approval, people["operator"])

    if days < 7:
        with pytest.raises(NotPermittedError):
            decide(approval, maker)
    else:
        assert decide(approval, maker).state == "approved"


def backdate(age: timedelta) -> None:
    """The log refuses changes: the trigger is set aside for this one."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
    Event.objects.filter(kind="user.password_reset").update(at=timezone.now() - age)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER USER")


def test_the_page_says_so_before_and_lets_them_reject(
    people: People, client_as: Callable[[str], Client]
) -> None:
    approval = ApprovalFactory.create()
    happened("run.compensating", approval.run_id, people["operator"].actor)

    mine = client_as("operator").get(f"/approvals/{approval.pk}/").content.decode()
    others = client_as("operator2").get(f"/approvals/{approval.pk}/").content.decode()

    assert "you asked for this undo. Another person has to" in mine.replace("&#x27;", "'")
    assert 'data-answer="reject"' in mine
    assert "asked for this undo" not in others
