"""What one person has snoozed is out of their queue alone, and comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.models import Approval, Snooze
from tests.factories.approvals import ApprovalFactory
from tests.factories.away import away
from tests.oversight.test_escalating import waiting
from tests.oversight.test_views import HTMX, sentences, text

pytestmark = pytest.mark.django_db
People = dict[str, User]
ClientAs = Callable[[str], Client]


def snooze(approval: Approval, user: User, minutes: int = 15) -> Snooze:
    return services.snooze(approval_id=approval.pk, user=user, minutes=minutes)


def passed(approval: Approval) -> None:
    """The time of whoever snoozed it has passed."""
    Snooze.objects.filter(approval=approval).update(until=timezone.now() - timedelta(seconds=1))


class TestTheService:
    def test_it_is_kept_and_told(self, people: People) -> None:
        approval = ApprovalFactory.create()
        before = timezone.now()

        found = snooze(approval, people["operator"], 60)

        assert timedelta(minutes=59) < found.until - before < timedelta(minutes=61)
        event = Event.objects.get(subject_id=str(approval.pk))
        assert (event.kind, event.actor) == ("approval.snoozed", "user:operator")
        assert event.payload["until"] == found.until.isoformat()
        approval.refresh_from_db()
        assert (approval.state, approval.claimed_by) == ("pending", None)

    def test_never_past_half_of_what_is_left(self, people: People) -> None:
        now = timezone.now()
        approval = ApprovalFactory.create(expires_at=now + timedelta(minutes=40))

        found = snooze(approval, people["operator"], 60)

        assert found.until < now + timedelta(minutes=20, seconds=5)

    def test_another_time_replaces_the_one_before(self, people: People) -> None:
        approval = ApprovalFactory.create()
        first = snooze(approval, people["operator"], 15)

        assert snooze(approval, people["operator"], 60).until > first.until
        assert Snooze.objects.count() == 1

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"state": "rejected"}, "decided"),
            ({"expires_at": timezone.now()}, "late"),
            ({"expires_at": timezone.now() + timedelta(seconds=100)}, "late"),
        ],
    )
    def test_what_is_over_or_nearly_is_not_snoozed(
        self, people: People, changes: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(ConflictError) as refused:
            snooze(ApprovalFactory.create(**changes), people["operator"])
        assert refused.value.code == code
        assert not Snooze.objects.exists()

    def test_only_those_who_may_decide_and_only_for_the_times_there_are(
        self, people: People
    ) -> None:
        approval = ApprovalFactory.create()

        with pytest.raises(NotPermittedError):
            snooze(approval, people["admin"])
        with pytest.raises(InvalidInputError) as wrong:
            snooze(approval, people["operator"], 5000)
        assert wrong.value.detail["field"] == "minutes"
        with pytest.raises(NotFoundError):
            services.snooze(approval_id=new_id(), user=people["operator"], minutes=15)

    def test_a_call_brings_it_back_to_whom_it_calls(self, people: People) -> None:
        approval = waiting(0.4, ladder=[{"at": 0.5, "to": "operators"}])
        for name in ("operator", "operator2"):
            snooze(approval, people[name])
        other = ApprovalFactory.create()
        snooze(other, people["operator"])

        services.escalate(approval_id=approval.pk, user=people["operator2"], note="Odd", rung=0)

        assert [s.approval_id for s in Snooze.objects.all()] == [other.pk]

    def test_a_call_of_others_leaves_it(self, people: People) -> None:
        approval = waiting(0.9, ladder=[{"at": 0.8, "to": "lead"}])
        snooze(approval, people["operator"])

        services.escalate_due()

        assert Snooze.objects.exists()

    def test_a_call_brings_it_back_to_who_stands_in(self, people: People) -> None:
        approval = waiting(0.9, ladder=[{"at": 0.8, "to": "lead"}])
        for name in ("operator", "operator2"):
            snooze(approval, people[name])
        away(people["admin"], people["operator"])

        services.escalate_due()

        assert [s.user for s in Snooze.objects.all()] == [people["operator2"]]

    def test_a_delegation_brings_it_back_to_whom_it_is_for(self, people: People) -> None:
        approval = ApprovalFactory.create()
        for name in ("operator", "operator2"):
            snooze(approval, people[name])
        to = {"to_id": people["operator2"].pk, "note": "Yours", "seen": 0}

        services.delegate(approval_id=approval.pk, user=people["operator"], **to)

        assert [s.user for s in Snooze.objects.all()] == [people["operator"]]


class TestTheQueue:
    def test_it_leaves_ones_own_queue_and_nobody_elses(
        self, people: People, client_as: ClientAs
    ) -> None:
        hidden, _ = ApprovalFactory.create(sentence="A"), ApprovalFactory.create(sentence="B")
        mine, others = client_as("operator"), client_as("operator2")
        before = text(others.get("/approvals/counts/"))

        snooze(hidden, people["operator"])

        page = text(mine.get("/approvals/"))
        assert sentences(page) == ["B"]
        assert ">1 snoozed</a>" in page
        assert "<strong>1</strong> of 2 waiting" in page
        assert sentences(text(mine.get("/approvals/?snoozed=1"))) == ["A"]
        assert sentences(text(others.get("/approvals/"))) == ["A", "B"]
        assert text(others.get("/approvals/counts/")) == before
        assert sentences(text(others.get("/approvals/?snoozed=1"))) == []

        passed(hidden)
        assert sentences(text(mine.get("/approvals/"))) == ["A", "B"]

    def test_open_pages_hear_when_it_comes_back(self, people: People, client_as: ClientAs) -> None:
        approval = ApprovalFactory.create(created_at=timezone.now() - timedelta(hours=1))
        client = client_as("operator")
        found = snooze(approval, people["operator"])
        since = (timezone.now() - timedelta(seconds=5)).isoformat()
        address = f"/approvals/changes/?since={since.replace('+', '%2B')}"

        told = client.get(address).json()
        assert (told["new"], told["wakes"]) == (0, found.until.isoformat())
        passed(approval)
        told = client.get(address).json()
        assert (told["new"], told["wakes"]) == (1, "")
        assert client_as("operator2").get(address).json()["new"] == 0

    def test_what_was_decided_stands_among_the_decided(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval = ApprovalFactory.create(sentence="A")
        snooze(approval, people["operator"])
        Approval.objects.filter(pk=approval.pk).update(
            state="approved", decided_by=people["operator2"], decided_at=timezone.now()
        )

        page = text(client_as("operator").get("/approvals/?tab=decided"))
        assert sentences(page) == ["A"]
        assert "snoozed" not in page

    def test_the_sheet_offers_what_fits_and_shows_it_again(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval = ApprovalFactory.create()
        client, address = client_as("operator"), f"/approvals/{approval.pk}/"
        offered = re.findall(r'name="minutes" value="(\d+)"', text(client.get(address)))
        assert offered == ["15", "60"]

        answer = client.post(f"{address}snooze/", {"minutes": "60"}, headers=HTMX)

        assert "approval:snoozed" in answer["HX-Trigger"]
        assert "Hidden from your queue until" in text(answer)
        assert "Hidden from" not in text(client_as("operator2").get(address))
        assert "Hidden from" not in text(client.post(f"{address}wake/", headers=HTMX))
        assert not Snooze.objects.exists()
        assert 'name="minutes"' not in text(client_as("auditor").get(address))

    @pytest.mark.parametrize("minutes", ["", "x", "7", "-15"])
    def test_a_time_that_there_is_not_is_refused(self, client_as: ClientAs, minutes: str) -> None:
        approval = ApprovalFactory.create()

        answer = client_as("operator").post(
            f"/approvals/{approval.pk}/snooze/", {"minutes": minutes}
        )

        assert answer.status_code == 422
        assert not Snooze.objects.exists()

    def test_a_refusal_stands_on_the_sheet(self, client_as: ClientAs) -> None:
        approval = ApprovalFactory.create(expires_at=timezone.now() + timedelta(seconds=90))

        answer = client_as("operator").post(
            f"/approvals/{approval.pk}/snooze/", {"minutes": "15"}, headers=HTMX
        )

        assert answer.status_code == 409
        assert "Too little of its time is left" in text(answer)
