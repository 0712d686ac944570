"""A question is delegated to a person by name: theirs from then on, and still everybody's duty."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.models import Approval, Delegation
from tests.conftest import BACKEND
from tests.factories.accounts import UserFactory
from tests.factories.approvals import EACH_ITS_JOB, ApprovalFactory, decide
from tests.factories.away import away
from tests.oversight.test_escalating import waiting
from tests.oversight.test_parties import happened
from tests.oversight.test_views import HTMX, sentences, text

pytestmark = pytest.mark.django_db
People = dict[str, User]
ClientAs = Callable[[str], Client]


def delegate(
    approval: Approval, user: User, to: User, *, note: str = "You know her", seen: int = 0
) -> Delegation:
    return services.delegate(approval_id=approval.pk, user=user, to_id=to.pk, note=note, seen=seen)


def facts(approval: Approval) -> list[tuple[str, str]]:
    events = Event.objects.filter(subject_id=str(approval.pk)).order_by("id")
    return [(event.kind, event.actor) for event in events]


class TestTheService:
    def test_it_is_their_claim_and_the_clock_goes_on(self, people: People) -> None:
        ana, bo = people["operator"], people["operator2"]
        approval = ApprovalFactory.create()
        due = approval.expires_at

        made = delegate(approval, ana, bo)

        approval.refresh_from_db()
        assert (made.to, made.by, made.instead_of, made.note) == (bo, ana, None, "You know her")
        assert (approval.claimed_by, approval.expires_at, approval.state) == (bo, due, "pending")
        left = approval.claimed_until - timezone.now()  # type: ignore[operator]  # it is claimed
        assert timedelta(minutes=4) < left <= timedelta(minutes=5)
        (event,) = Event.objects.filter(subject_id=str(approval.pk))
        assert (event.kind, event.actor) == ("approval.delegated", "user:operator")
        said = {"to": "operator2", "note": "You know her", "step_id": str(approval.step_id)}
        assert event.payload == said

    def test_they_decide_it_as_anybody_would(self, people: People) -> None:
        approval = ApprovalFactory.create()
        delegate(approval, people["operator"], people["operator2"])

        with pytest.raises(ConflictError):  # it is their claim
            decide(approval, people["operator"])
        assert decide(approval, people["operator2"]).state == "approved"

    def test_once_their_claim_has_passed_anybody_may_decide(self, people: People) -> None:
        approval = ApprovalFactory.create()
        delegate(approval, people["operator"], people["operator2"])
        Approval.objects.filter(pk=approval.pk).update(claimed_until=timezone.now())

        assert decide(approval, people["operator"]).state == "approved"

    @pytest.mark.parametrize("name", ["admin", "product_manager", "auditor"])
    def test_only_who_may_decide_delegates_and_is_delegated_to(
        self, people: People, name: str
    ) -> None:
        approval = ApprovalFactory.create()

        with pytest.raises(NotPermittedError):
            delegate(approval, people[name], people["operator"])
        with pytest.raises(InvalidInputError, match="may not decide it") as wrong:
            delegate(approval, people["operator"], people[name])
        assert wrong.value.detail["field"] == "to"
        assert not Delegation.objects.exists()

    @pytest.mark.parametrize("changes", [{"is_active": False}, {"enrolled_at": None}])
    def test_an_account_that_cannot_act_gets_nothing(
        self, people: People, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInputError, match="may not decide it"):
            delegate(ApprovalFactory.create(), people["operator"], UserFactory.create(**changes))

    def test_whoever_had_a_part_in_it_gets_it_neither(self, people: People) -> None:
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, people["operator2"].actor)

        with pytest.raises(InvalidInputError, match="operator2, who asked for this run"):
            delegate(approval, people["operator"], people["operator2"])

    def test_whoever_has_voted_gets_it_neither(self, people: People) -> None:
        approval = ApprovalFactory.create(votes_required=2)
        decide(approval, people["operator2"])

        with pytest.raises(InvalidInputError, match="has voted"):
            delegate(approval, people["operator"], people["operator2"])

    def test_a_note_and_another_person_are_needed(self, people: People) -> None:
        approval, ana = ApprovalFactory.create(), people["operator"]

        with pytest.raises(InvalidInputError, match="Say why") as wrong:
            delegate(approval, ana, people["operator2"], note=" ")
        assert wrong.value.detail["field"] == "note"
        with pytest.raises(InvalidInputError, match="That is you"):
            delegate(approval, ana, ana)
        with pytest.raises(InvalidInputError, match="no such person"):
            services.delegate(approval_id=approval.pk, user=ana, to_id=999_999, note="x", seen=0)
        with pytest.raises(NotFoundError):
            services.delegate(approval_id=new_id(), user=ana, to_id=1, note="x", seen=0)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"state": "approved"}, "decided"),
            ({"state": "expired"}, "expired"),
            ({"expires_at": timezone.now()}, "expired"),
        ],
    )
    def test_what_is_over_is_not_delegated(
        self, people: People, changes: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(ConflictError) as refused:
            delegate(ApprovalFactory.create(**changes), people["operator"], people["operator2"])
        assert refused.value.code == code

    def test_what_somebody_else_has_claimed_is_theirs(self, people: People) -> None:
        until = timezone.now() + timedelta(minutes=4)
        approval = ApprovalFactory.create(claimed_by=people["operator2"], claimed_until=until)

        with pytest.raises(ConflictError) as refused:
            delegate(approval, people["operator"], UserFactory.create())
        assert (refused.value.code, refused.value.detail["who"]) == ("claimed", "operator2")

    def test_to_somebody_away_it_goes_to_their_stand_in(self, people: People) -> None:
        bo, cy = people["operator2"], UserFactory.create(username="cy")
        approval = ApprovalFactory.create()
        away(bo, cy)

        made = delegate(approval, people["operator"], bo)

        assert (made.to, made.instead_of) == (cy, bo)
        approval.refresh_from_db()
        assert approval.claimed_by == cy
        (event,) = Event.objects.filter(subject_id=str(approval.pk))
        assert (event.payload["to"], event.payload["instead_of"]) == ("cy", "operator2")

    def test_to_somebody_away_in_whose_stead_nobody_is_it_goes_to_nobody(
        self, people: People
    ) -> None:
        away(people["operator2"])

        with pytest.raises(InvalidInputError, match=r"is away until .* nobody stands in"):
            delegate(ApprovalFactory.create(), people["operator"], people["operator2"])

    def test_it_does_not_come_back_to_who_delegates(self, people: People) -> None:
        away(people["operator2"], people["operator"])

        with pytest.raises(InvalidInputError, match="That is you"):
            delegate(ApprovalFactory.create(), people["operator"], people["operator2"])

    def test_sent_twice_it_is_one(self, people: People) -> None:
        approval = ApprovalFactory.create()

        first = delegate(approval, people["operator"], people["operator2"])

        assert delegate(approval, people["operator"], people["operator2"]) == first
        assert len(facts(approval)) == 1

    def test_it_is_delegated_on_by_whoever_has_it(self, people: People) -> None:
        approval, cy = ApprovalFactory.create(), UserFactory.create()
        first = delegate(approval, people["operator"], people["operator2"])

        with pytest.raises(ConflictError, match="delegated to operator2") as late:
            delegate(approval, people["operator2"], cy, seen=0)
        assert late.value.detail["who"] == "operator"
        delegate(approval, people["operator2"], cy, seen=first.pk)

        first.refresh_from_db()
        assert first.over_at is not None
        assert Delegation.objects.get(over_at=None).to == cy

    def test_it_is_given_back_once_by_its_person(self, people: People) -> None:
        approval = ApprovalFactory.create()
        delegate(approval, people["operator"], people["operator2"])

        services.give_back(approval_id=approval.pk, user=people["operator"])
        assert Delegation.objects.get().over_at is None
        for _ in range(2):
            services.give_back(approval_id=approval.pk, user=people["operator2"])

        approval.refresh_from_db()
        assert approval.claimed_by is None
        assert Delegation.objects.get().over_at is not None
        assert [kind for kind, _ in facts(approval)] == [
            "approval.delegated",
            "approval.given_back",
        ]

    def test_a_vote_of_theirs_ends_it(self, people: People) -> None:
        approval = ApprovalFactory.create(votes_required=2)
        delegate(approval, people["operator"], people["operator2"])

        decide(approval, people["operator2"])

        assert Delegation.objects.get().over_at is not None

    def test_what_was_delegated_stays_as_it_was(self, people: People) -> None:
        approval = ApprovalFactory.create()
        made = delegate(approval, people["operator"], people["operator2"])
        same = {"approval": approval, "by": made.by, "to": made.to, "note": "again"}

        with pytest.raises(IntegrityError), transaction.atomic():
            Delegation.objects.create(**same)
        with pytest.raises(IntegrityError), transaction.atomic():
            Delegation.objects.filter(pk=made.pk).update(note="other")
        with pytest.raises(IntegrityError), transaction.atomic():
            Delegation.objects.filter(pk=made.pk).delete()


class TestThePages:
    def test_it_stands_in_the_queue_of_whom_it_is_for_with_the_note(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval = ApprovalFactory.create(sentence="Theirs")
        ApprovalFactory.create(sentence="Others")
        delegate(approval, people["operator"], people["operator2"], note="Ask \u202ePat")
        mine, others = client_as("operator2"), client_as("operator")

        page = text(mine.get("/approvals/"))
        assert "1 delegated to you" in page
        assert "Delegated to you by operator" in page
        assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>Pat' in page
        assert sentences(text(mine.get("/approvals/?delegated=1"))) == ["Theirs"]
        assert "Delegated to operator2" in text(others.get("/approvals/"))
        assert "delegated to you" not in text(others.get("/approvals/"))
        assert sentences(text(others.get("/approvals/?delegated=1"))) == []

        told = mine.get(f"/approvals/changes/?ids={approval.pk}").json()["rows"][0]
        assert told["delegated"] == "Delegated to you by operator"
        assert told["delegation"] == Delegation.objects.get().pk

    def test_the_form_says_who_is_away_and_sends_it(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval, cy = ApprovalFactory.create(), UserFactory.create(username="cy")
        away(people["operator2"], cy)
        client, address = client_as("operator"), f"/approvals/{approval.pk}/"
        page = text(client.get(address))
        options = re.findall(r'<option value="\d+"[^>]*>([^<]+)</option>', page)
        assert options == ["cy", "operator2 (away; cy stands in)"]

        given = {"to_id": people["operator2"].pk, "note": "Look", "seen": 0}
        answer = client.post(f"{address}delegate/", given, headers=HTMX)

        assert answer.status_code == 200
        assert "approval:delegated" in answer["HX-Trigger"]
        assert "Delegated to cy, who stands in for operator2, by you" in re.sub(
            r"<[^>]+>", "", text(answer)
        )
        client = Client()
        client.force_login(cy, backend=BACKEND)
        assert "Give it back" in text(client.get(address))
        client.post(f"{address}give-back/", headers=HTMX)
        assert "Delegated to" not in text(client.get(address))

    def test_what_was_typed_comes_back_with_the_refusal(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, people["operator2"].actor)
        given = {"to_id": people["operator2"].pk, "note": "Kept words", "seen": 0}

        answer = client_as("operator").post(
            f"/approvals/{approval.pk}/delegate/", given, headers=HTMX
        )

        page = text(answer)
        assert answer.status_code == 422
        assert "operator2, who asked for this run" in page
        assert "Kept words</textarea>" in page
        assert re.search(rf'value="{people["operator2"].pk}" selected', page)

    @pytest.mark.parametrize("given", [{}, {"to_id": "x", "note": "n", "seen": "0"}, {"seen": -1}])
    def test_a_form_that_makes_no_sense_is_refused(
        self, client_as: ClientAs, given: dict[str, Any]
    ) -> None:
        approval = ApprovalFactory.create()

        answer = client_as("operator").post(f"/approvals/{approval.pk}/delegate/", given)

        assert answer.status_code == 422
        assert "say why they should decide" in text(answer)

    def test_who_only_looks_is_offered_nothing(self, client_as: ClientAs) -> None:
        approval = ApprovalFactory.create()

        assert "Delegate it" in text(client_as("operator").get(f"/approvals/{approval.pk}/"))
        assert "Delegate it" not in text(client_as("auditor").get(f"/approvals/{approval.pk}/"))

    def test_many_cost_the_queue_what_one_costs(self, people: People, client_as: ClientAs) -> None:
        client, costs = client_as("operator2"), []
        for _ in range(2):
            for _ in range(3):
                approval = ApprovalFactory.create(job_slug=EACH_ITS_JOB)
                delegate(approval, people["operator"], people["operator2"])
            client.get("/approvals/")
            with CaptureQueriesContext(connection) as queries:
                client.get("/approvals/")
            costs.append(len(queries))

        assert costs[0] == costs[1]

    def test_escalating_leaves_it_with_whom_it_is(self, people: People) -> None:
        approval = waiting(0.9)
        delegate(approval, people["operator"], people["operator2"])

        services.escalate_due()

        assert Delegation.objects.get().over_at is None
