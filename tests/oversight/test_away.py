"""Out of office on a real database: who hears of what, whose claim is whose, and whose vote isn't a
second person's."""

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
from apps.oversight import services
from apps.oversight.models import Absence, Approval
from apps.oversight.selectors import away as selectors
from apps.oversight.services.away import AbsencePlan
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ApprovalFactory, decide
from tests.factories.away import away
from tests.oversight.test_escalating import waiting
from tests.oversight.test_parties import happened
from tests.oversight.test_views import HTMX, sentences, text

pytestmark = pytest.mark.django_db
People = dict[str, User]
ClientAs = Callable[[str], Client]
HOUR = timedelta(hours=1)
SOME_DAYS = timedelta(days=3)


def plan(person: User, stand_in: User | None = None, **changes: Any) -> AbsencePlan:
    given = {
        "person_id": person.pk,
        "stand_in_id": stand_in.pk if stand_in else None,
        "ends_at": timezone.now() + SOME_DAYS,
        "reason": "Holiday",
    }
    return AbsencePlan(**{**given, **changes})


def typed(**changes: Any) -> dict[str, str]:
    """What a form sends."""
    later = (timezone.now() + SOME_DAYS).strftime("%Y-%m-%dT%H:%M")
    return {"from": "", "until": later, "stand_in": "", "reason": "Holiday", **changes}


class TestPlanning:
    def test_one_plans_ones_own_and_the_log_says_so(self, people: People) -> None:
        ana, bo = people["operator"], people["operator2"]

        made = services.set_absence(by=ana, plan=plan(ana, bo))

        assert (made.person, made.stand_in, made.set_by) == (ana, bo, ana)
        event = Event.objects.get(kind="absence.set")
        assert (event.actor, event.subject_type, event.subject_id) == (
            "user:operator",
            "user",
            str(ana.pk),
        )
        assert event.payload == {
            "absence": made.pk,
            "username": "operator",
            "from": made.begins_at.isoformat(),
            "until": made.ends_at.isoformat(),
            "stand_in": "operator2",
        }

    def test_it_never_begins_before_it_was_planned(self, people: People) -> None:
        before = timezone.now()
        asked = plan(people["operator"], begins_at=before - SOME_DAYS)

        assert services.set_absence(by=people["operator"], plan=asked).begins_at >= before

    def test_an_admin_plans_it_for_somebody_who_is_ill_and_nobody_else_does(
        self, people: People
    ) -> None:
        asked = plan(people["operator"], people["operator2"])

        for name in ("operator2", "product_manager"):
            with pytest.raises(NotPermittedError, match="by its person, or by an admin"):
                services.set_absence(by=people[name], plan=asked)
        assert services.set_absence(by=people["admin"], plan=asked).set_by == people["admin"]

    def test_an_account_that_cannot_act_plans_nothing(self, people: People) -> None:
        invited = UserFactory.create(enrolled_at=None)

        with pytest.raises(NotPermittedError, match="nobody has enrolled"):
            services.set_absence(by=invited, plan=plan(invited))

    @pytest.mark.parametrize(
        ("stand_in", "fits"),
        [
            ("operator2", True),
            ("product_manager", False),  # decides nothing
            ("admin", False),
            ("auditor", False),
            ("operator", False),  # oneself
        ],
    )
    def test_who_stands_in_may_decide_the_same(
        self, people: People, stand_in: str, fits: bool
    ) -> None:
        asked = plan(people["operator"], people[stand_in])

        if fits:
            assert services.set_absence(by=people["operator"], plan=asked).stand_in
        else:
            with pytest.raises(InvalidInputError) as wrong:
                services.set_absence(by=people["operator"], plan=asked)
            assert wrong.value.detail["field"] == "stand_in"

    @pytest.mark.parametrize("changes", [{"is_active": False}, {"enrolled_at": None}])
    def test_who_stands_in_has_an_account_that_acts(
        self, people: People, changes: dict[str, Any]
    ) -> None:
        other = UserFactory.create(**changes)

        with pytest.raises(InvalidInputError) as wrong:
            services.set_absence(by=people["operator"], plan=plan(people["operator"], other))
        assert wrong.value.detail["field"] == "stand_in"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"ends_at": timezone.now() - HOUR}, "until"),
            ({"ends_at": timezone.now() + timedelta(days=91)}, "until"),
            ({"reason": "  "}, "reason"),
            ({"begins_at": timezone.now() + timedelta(days=2)}, "from"),  # overlaps
            ({"stand_in_id": 999_999}, "stand_in"),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_written(
        self, people: People, changes: dict[str, Any], field: str
    ) -> None:
        ana = people["operator"]
        away(ana, begins_at=timezone.now() + HOUR, ends_at=timezone.now() + SOME_DAYS)

        with pytest.raises(InvalidInputError) as wrong:
            services.set_absence(by=ana, plan=plan(ana, **changes))

        assert wrong.value.detail["field"] == field
        assert Absence.objects.count() == 1
        assert not Event.objects.filter(kind="absence.set").exists()

    def test_whoever_would_close_a_circle_is_refused(self, people: People) -> None:
        ana, bo = people["operator"], people["operator2"]
        services.set_absence(by=ana, plan=plan(ana, bo))

        with pytest.raises(InvalidInputError, match="come back"):
            services.set_absence(by=bo, plan=plan(bo, ana))
        assert services.set_absence(by=bo, plan=plan(bo)).stand_in is None

    def test_it_is_ended_once_by_its_person_or_an_admin(self, people: People) -> None:
        ana = people["operator"]
        absence = away(ana)

        with pytest.raises(NotPermittedError):
            services.end_absence(by=people["operator2"], absence_id=absence.pk)
        first = services.end_absence(by=ana, absence_id=absence.pk)
        again = services.end_absence(by=people["admin"], absence_id=absence.pk)

        assert first.ended_at == again.ended_at
        assert again.ended_by == ana
        assert [e.actor for e in Event.objects.filter(kind="absence.ended")] == ["user:operator"]
        assert selectors.roster().absences == {}
        with pytest.raises(NotFoundError):
            services.end_absence(by=ana, absence_id=999_999)

    def test_one_that_was_taken_back_before_it_began_was_none(self, people: People) -> None:
        ana, bo = people["operator"], people["operator2"]
        soon = timezone.now() + HOUR
        made = services.set_absence(by=ana, plan=plan(ana, bo, begins_at=soon))

        services.end_absence(by=ana, absence_id=made.pk)

        assert services.set_absence(by=ana, plan=plan(ana)).stand_in is None
        assert services.set_absence(by=bo, plan=plan(bo, begins_at=soon)).begins_at == soon

    @pytest.mark.parametrize(
        "changes",
        [
            {"ends_at": timezone.now() + timedelta(days=20)},
            {"stand_in_id": None},
            {"begins_at": timezone.now()},
        ],
    )
    def test_what_was_planned_stays_as_it_was(
        self, people: People, changes: dict[str, Any]
    ) -> None:
        absence = away(people["operator"], people["operator2"])

        with pytest.raises(IntegrityError), transaction.atomic():
            Absence.objects.filter(pk=absence.pk).update(**changes)
        with pytest.raises(IntegrityError), transaction.atomic():
            Absence.objects.filter(pk=absence.pk).delete()
        services.end_absence(by=people["operator"], absence_id=absence.pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            Absence.objects.filter(pk=absence.pk).update(ended_at=None, ended_by=None)


class TestDuties:
    """A stand-in approves nothing that the absent person couldn't."""

    def test_a_stand_in_has_the_parts_of_the_absent_person(self, people: People) -> None:
        ana, bo = people["operator"], people["operator2"]
        other = UserFactory.create()
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, ana.actor)
        away(ana, bo)

        with pytest.raises(
            NotPermittedError, match="stand in for operator, who asked for this run"
        ):
            decide(approval, bo)
        assert decide(approval, other).state == "approved"

    def test_they_can_reject_it(self, people: People) -> None:
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, people["operator"].actor)
        away(people["operator"], people["operator2"])

        assert decide(approval, people["operator2"], approve=False).state == "rejected"

    @pytest.mark.parametrize(
        "changes",
        [
            {"begins_at": timezone.now() + HOUR},
            {"ends_at": timezone.now() - HOUR},
            {"ended_at": timezone.now() - HOUR},
        ],
    )
    def test_only_while_they_stand_in(self, people: People, changes: dict[str, Any]) -> None:
        ana, bo = people["operator"], people["operator2"]
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, ana.actor)
        changes = {**changes, "ended_by": ana} if "ended_at" in changes else changes
        away(ana, bo, **changes)

        assert decide(approval, bo).state == "approved"

    def test_through_a_chain_too(self, people: People) -> None:
        ana, bo, cy = people["operator"], people["operator2"], UserFactory.create()
        approval = ApprovalFactory.create()
        happened("run.accepted", approval.run_id, ana.actor)
        away(ana, bo)
        away(bo, cy)

        with pytest.raises(NotPermittedError, match="stand in for operator, who asked"):
            decide(approval, cy)

    def test_an_absent_persons_vote_and_their_stand_ins_are_two_peoples(
        self, people: People
    ) -> None:
        """The stand-in decides as themselves: once, and beside whoever is away."""
        ana, bo = people["operator"], people["operator2"]
        approval = ApprovalFactory.create(votes_required=3, risk=3)
        away(ana, bo)

        for person in (ana, bo):
            assert decide(approval, person).state == "pending"
            with pytest.raises(ConflictError, match="You have voted"):
                decide(approval, person)
        assert decide(approval, UserFactory.create()).state == "approved"
        with transaction.atomic():
            assert services.consume(approval.pk, approval.digest)

    def test_nobody_gets_a_right_by_standing_in(self, people: People) -> None:
        approval = ApprovalFactory.create(roles=["operator"])
        away(people["operator"], people["product_manager"])  # planned by nobody's rules

        with pytest.raises(NotPermittedError, match="Only operator may decide"):
            decide(approval, people["product_manager"])

    @pytest.mark.parametrize(
        ("case", "counts"),
        [
            ("standing in", False),
            ("ended before", True),
            ("begun after", True),
            ("in a chain", False),
            ("ended after", False),
        ],
    )
    def test_a_vote_of_a_stand_in_that_was_taken_all_the_same_does_not_count_when_it_is_used(
        self, people: People, monkeypatch: pytest.MonkeyPatch, case: str, counts: bool
    ) -> None:
        """A site of an earlier release doesn't know who is away; the worker that uses it does."""
        ana, bo, now = people["operator"], people["operator2"], timezone.now()
        approval = ApprovalFactory.create(risk=3)
        happened("run.accepted", approval.run_id, ana.actor)
        middle = UserFactory.create()
        if case == "ended before":
            away(ana, bo, ended_at=now - HOUR, ended_by=ana)
        elif case == "in a chain":
            away(ana, middle)
            away(middle, bo)
        elif case != "begun after":
            away(ana, bo)
        with monkeypatch.context() as earlier:
            earlier.setattr("apps.oversight.services.deciding.parties_for", lambda *_: {})
            assert decide(approval, bo).state == "approved"
        if case == "begun after":
            away(ana, bo, begins_at=timezone.now())
        if case == "ended after":
            services.end_absence(by=ana, absence_id=Absence.objects.get().pk)

        with transaction.atomic():
            assert services.consume(approval.pk, approval.digest) == counts

    def test_a_person_who_is_away_still_decides_as_themselves(self, people: People) -> None:
        away(people["operator"], people["operator2"])

        assert decide(ApprovalFactory.create(), people["operator"]).state == "approved"


class TestClaims:
    def test_the_claim_of_somebody_absent_is_open_to_who_stands_in(self, people: People) -> None:
        ana, bo, cy = people["operator"], people["operator2"], UserFactory.create()
        held = {"claimed_by": ana, "claimed_until": timezone.now() + timedelta(minutes=4)}
        first, second = ApprovalFactory.create(**held), ApprovalFactory.create(**held)
        away(ana, bo)

        with pytest.raises(ConflictError):
            services.claim(approval_id=first.pk, user=cy)
        with pytest.raises(ConflictError):
            decide(first, cy)
        assert services.claim(approval_id=first.pk, user=bo).claimed_by == bo
        assert decide(second, bo).state == "approved"

    def test_the_sheet_offers_it_and_says_whose_it_is(
        self, people: People, client_as: ClientAs
    ) -> None:
        ana = people["operator"]
        until = timezone.now() + timedelta(minutes=4)
        approval = ApprovalFactory.create(claimed_by=ana, claimed_until=until)
        away(ana, people["operator2"])

        page = text(client_as("operator2").get(f"/approvals/{approval.pk}/", headers=HTMX))

        assert "operator has claimed it and is away: it is open to you" in page
        assert 'data-absents="1"' in page
        assert f'data-claim-url="/approvals/{approval.pk}/claim/"' in page
        assert "Take it over" not in page


class TestCalls:
    def test_whoever_stands_in_hears_of_what_the_absent_person_is_called_about(
        self, people: People, client_as: ClientAs
    ) -> None:
        """The lead is away; an operator stands in, whom the ladder calls only earlier."""
        waiting(0.9, sentence="Called", ladder=[{"at": 0.8, "to": "lead"}])
        ApprovalFactory.create(sentence="Sooner", expires_at=timezone.now() + timedelta(minutes=1))
        services.escalate_due()
        client = client_as("operator")
        assert "escalated to you" not in text(client.get("/approvals/"))

        away(people["admin"], people["operator"])

        page = text(client.get("/approvals/"))
        assert sentences(page) == ["Called", "Sooner"]
        assert "1 escalated to you" in page
        assert sentences(text(client.get("/approvals/?escalated=me"))) == ["Called"]
        assert "1 escalated to you" in text(client.get("/approvals/count/"))
        assert "1 approval is escalated to you" in text(client.get("/"))
        assert "escalated to you" not in text(client_as("operator2").get("/approvals/"))

    def test_the_log_says_who_heard_of_it_and_that_nobody_was_there(self, people: People) -> None:
        leads = [people["admin"], people["admin2"], people["admin3"]]
        away(leads[0], people["operator"])
        one = waiting(0.9, ladder=[{"at": 0.8, "to": "lead"}])
        services.escalate_due()
        services.end_absence(by=leads[0], absence_id=Absence.objects.get().pk)
        for lead in leads:
            away(lead)
        other = waiting(0.9, ladder=[{"at": 0.8, "to": "lead"}])
        services.escalate_due()

        def said(approval: Approval) -> dict[str, Any]:
            (event,) = Event.objects.filter(subject_id=str(approval.pk))
            return {k: v for k, v in event.payload.items() if k in {"stand_ins", "nobody_there"}}

        assert said(one) == {"stand_ins": ["operator"]}
        assert said(other) == {"nobody_there": True}

    def test_the_sheet_says_who_is_away_of_whom_was_called(
        self, people: People, client_as: ClientAs
    ) -> None:
        approval = waiting(0.9, ladder=[{"at": 0.8, "to": "lead"}])
        services.escalate_due()
        address = f"/approvals/{approval.pk}/"
        away(people["admin"], people["operator2"])
        away(people["admin2"])

        page = re.sub(r"<[^>]+>", "", text(client_as("operator").get(address)))
        assert re.search(r"admin is away until [^;]*; operator2 stands in", page)
        assert re.search(r"admin2 is away until [^;]*; nobody stands in", page)
        assert "Nobody of them is there now" not in page

        services.end_absence(by=people["admin"], absence_id=Absence.objects.first().pk)  # type: ignore[union-attr]
        for name in ("admin", "admin3"):
            away(people[name])
        assert "Nobody of them is there now" in text(client_as("operator").get(address))

    def test_a_stand_in_whose_account_was_disabled_is_nobody(self, people: People) -> None:
        away(people["operator"], people["operator2"])
        User.objects.filter(pk=people["operator2"].pk).update(is_active=False)

        (shown,) = selectors.roster().shown()
        assert shown.there is None


class TestThePage:
    def test_one_plans_and_ends_it(self, people: People, client_as: ClientAs) -> None:
        client, bo = client_as("operator"), people["operator2"]

        done = client.post("/approvals/away/set/", typed(stand_in=bo.pk, reason="My knee"))

        assert done.status_code == 302
        page = text(client.get("/approvals/away/"))
        assert "My knee" in page
        assert "away now" in page
        others = text(client_as("operator2").get("/approvals/away/"))
        assert "My knee" not in others
        assert "You stand in for operator." in re.sub(r"<[^>]+>", "", others)
        assert "My knee" in text(client_as("admin").get("/approvals/away/"))
        assert "away/set" not in text(client_as("auditor").get("/approvals/away/"))
        queue = re.sub(r"<[^>]+>", "", text(client_as("auditor").get("/approvals/")))
        assert re.search(r"operator is away until [^;]*; operator2 stands in", queue)

        client.post(f"/approvals/away/{Absence.objects.get().pk}/end/")

        assert "Nobody is away" in text(client.get("/approvals/away/"))
        assert "is away until" not in text(client_as("auditor").get("/approvals/"))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"until": ""}, "This field is required"),
            ({"until": "tomorrow"}, "Write a date and a time"),
            ({"until": "9999-12-31T23:59"}, "Write a date and a time"),
            ({"until": "2020-01-01T00:00"}, "Until has to be after from"),
            ({"from": "2100-01-01T00:00", "until": "2100-01-02T00:00"}, "At most a year ahead"),
            ({"stand_in": "999999"}, "Select a valid choice"),
            ({"reason": ""}, "This field is required"),
        ],
    )
    def test_what_is_wrong_stands_at_its_field_and_what_was_typed_is_kept(
        self, client_as: ClientAs, changes: dict[str, str], said: str
    ) -> None:
        given = typed(reason="Kept words")
        answer = client_as("operator").post("/approvals/away/set/", {**given, **changes})

        page = text(answer)
        assert answer.status_code == 422
        assert said in page
        assert changes.get("reason", "Kept words") in page
        assert not Absence.objects.exists()

    def test_nobody_plans_for_others_by_writing_the_form_themselves(
        self, people: People, client_as: ClientAs
    ) -> None:
        given = typed(person=people["admin"].pk)
        client_as("operator").post("/approvals/away/set/", given)
        assert Absence.objects.get().person == people["operator"]

        client_as("admin").post("/approvals/away/set/", typed(person=people["operator2"].pk))
        assert Absence.objects.filter(person=people["operator2"]).exists()

    def test_nobody_ends_what_is_anothers(self, people: People, client_as: ClientAs) -> None:
        absence = away(people["admin"])

        answer = client_as("operator").post(f"/approvals/away/{absence.pk}/end/")

        assert answer.status_code == 403
        assert selectors.roster().absences

    def test_many_absences_cost_the_queue_what_one_costs(self, client_as: ClientAs) -> None:
        client, costs = client_as("operator"), []
        ApprovalFactory.create_batch(3)
        for _ in range(2):
            for _ in range(3):
                away(UserFactory.create(), UserFactory.create())
            client.get("/approvals/")
            with CaptureQueriesContext(connection) as queries:
                client.get("/approvals/")
            costs.append(len(queries))

        assert costs[0] == costs[1]
