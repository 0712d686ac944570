"""Answers on a real database: in time, once, signed, and told to the audit log."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.ids import new_id
from apps.oversight import adapters, services
from apps.oversight.domain.binding import binding_digest
from apps.oversight.domain.signed import SignedDecision, first_payload
from apps.oversight.models import Approval, Vote
from apps.oversight.services import proving
from tests.factories.approvals import ApprovalFactory, bound
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db
People = dict[str, User]


def answer(approval: Approval, user: User, **changes: Any) -> Approval:
    given = {
        "approval_id": approval.pk,
        "user": user,
        "approve": True,
        "reason": "checked",
        "digest": approval.digest,
        "nonce": f"n-{user.pk}",
        "dwell_ms": 4200,
    }
    return services.decide(**{**given, **changes})


def kinds(approval_id: UUID) -> list[str]:
    events = apps.get_model("audit", "Event").objects.filter(subject_id=str(approval_id))
    return list(events.order_by("id").values_list("kind", flat=True))


def question(**changes: Any) -> services.ApprovalRequest:
    run_id = new_id()
    given = {
        "run_id": run_id,
        "step_id": new_id(),
        "decision_id": new_id(),
        "binding": bound(run_id),
        "risk": 3,
        "rules": [{"id": "r"}],
        "roles": ["operator"],
        "votes_required": 1,
        "shown": {
            "sentence": "Cancel it",
            "domain_slug": "airline",
            "job_slug": "j",
            "contract_number": 1,
            "tool_name": "cancel_reservation",
            "agent_slug": "a",
            "arguments": {"reservation_id": "Q69X3R"},
            "window_s": 60,
        },
    }
    return services.ApprovalRequest(**{**given, **changes})


def test_asking_freezes_what_is_asked() -> None:
    ask = question()
    with transaction.atomic():
        (approval_id,) = services.request_batch([ask])

    row = Approval.objects.get(pk=approval_id)
    assert row.digest == binding_digest(ask.binding) == binding_digest(row.binding)
    assert row.state == "pending"
    assert timedelta(seconds=58) < row.expires_at - row.created_at <= timedelta(seconds=61)
    assert kinds(approval_id) == ["approval.requested"]


def test_asking_again_about_a_step_makes_the_older_question_void() -> None:
    step = new_id()
    with transaction.atomic():
        (first,) = services.request_batch([question(step_id=step)])
        (second,) = services.request_batch([question(step_id=step)])

    states = dict(Approval.objects.values_list("pk", "state"))
    assert states == {first: "void", second: "pending"}


def test_a_question_without_text_still_says_which_tool() -> None:
    with transaction.atomic():
        (approval_id,) = services.request_batch([question(shown={}, roles=[])])

    row = Approval.objects.get(pk=approval_id)
    assert row.sentence == "Call airline/cancel_reservation"
    assert row.roles == ["operator"]


def test_approve_is_signed_and_recorded(people: People) -> None:
    approval = ApprovalFactory.create()

    decided = answer(approval, people["operator"])

    assert (decided.state, decided.decided_by, decided.reason) == (
        "approved",
        people["operator"],
        "checked",
    )
    assert services.is_signed(decided)
    assert kinds(approval.pk) == ["approval.approved"]
    assert Vote.objects.get(approval=approval).dwell_ms == 4200


@pytest.mark.parametrize("field", ["reason", "digest", "state"])
def test_a_changed_decision_no_longer_fits_its_signature(people: People, field: str) -> None:
    decided = answer(ApprovalFactory.create(), people["operator"])

    setattr(decided, field, "rejected" if field == "state" else "other")

    assert not services.is_signed(decided)


def test_the_same_submit_twice_is_one_answer(people: People) -> None:
    approval = ApprovalFactory.create()

    first = answer(approval, people["operator"])
    second = answer(approval, people["operator"])

    assert first.decided_at == second.decided_at
    assert Vote.objects.count() == 1
    assert kinds(approval.pk) == ["approval.approved"]


def test_who_comes_second_hears_who_was_first_and_when(people: People) -> None:
    approval = ApprovalFactory.create()
    first = answer(approval, people["operator"])

    with pytest.raises(ConflictError) as caught:
        answer(approval, people["operator2"], approve=False)

    assert caught.value.detail == {"who": "operator", "when": first.decided_at}
    assert caught.value.code == "decided"


def test_the_databases_clock_ends_the_time_to_decide(people: People) -> None:
    approval = ApprovalFactory.create(expires_at=timezone.now() - timedelta(milliseconds=1))

    with pytest.raises(ConflictError) as caught:
        answer(approval, people["operator"])

    assert caught.value.code == "expired"
    assert Approval.objects.get(pk=approval.pk).state == "pending"  # the sweeper's to end


def test_another_digest_is_a_conflict_with_both(people: People) -> None:
    approval = ApprovalFactory.create()

    with pytest.raises(ConflictError) as caught:
        answer(approval, people["operator"], digest="0" * 64)

    assert caught.value.code == "digest"
    assert caught.value.detail["asked"] == approval.digest
    assert caught.value.detail["seen"] == "0" * 64


@pytest.mark.parametrize(("risk", "approve"), [(1, False), (3, True), (4, True)])
def test_a_reason_is_asked_for(people: People, risk: int, approve: bool) -> None:
    with pytest.raises(InvalidInputError):
        answer(ApprovalFactory.create(risk=risk), people["operator"], approve=approve, reason=" ")


@pytest.mark.parametrize("role", ["admin", "auditor", "product_manager"])
def test_other_roles_never_decide(people: People, role: str) -> None:
    with pytest.raises(NotPermittedError):
        answer(ApprovalFactory.create(), people[role])


@pytest.mark.parametrize("lacks", [{"is_active": False}, {"enrolled_at": None}])
def test_a_disabled_or_reset_operator_does_nothing(people: People, lacks: dict[str, Any]) -> None:
    approval, person = ApprovalFactory.create(), people["operator"]
    for name, value in lacks.items():
        setattr(person, name, value)

    with pytest.raises(NotPermittedError, match="account"):
        answer(approval, person)
    with pytest.raises(NotPermittedError, match="account"):
        services.claim(approval_id=approval.pk, user=person)
    with pytest.raises(NotPermittedError, match="account"):
        services.escalate(approval_id=approval.pk, user=person, note="late", rung=1)


def test_two_votes_of_different_people(people: People) -> None:
    approval = ApprovalFactory.create(votes_required=2)

    one = answer(approval, people["operator"])
    with pytest.raises(ConflictError) as caught:
        answer(approval, people["operator"], nonce="again")
    two = answer(approval, people["operator2"])

    assert (one.state, caught.value.code, two.state) == ("pending", "voted", "approved")
    assert services.is_signed(two)
    assert kinds(approval.pk) == ["approval.voted", "approval.approved"]


def test_one_rejection_outweighs_an_approval(people: People) -> None:
    approval = ApprovalFactory.create(votes_required=2)
    answer(approval, people["operator"])

    assert answer(approval, people["operator2"], approve=False).state == "rejected"


def test_nothing_to_answer(people: People) -> None:
    with pytest.raises(NotFoundError):
        answer(ApprovalFactory.build(), people["operator"])


class TestConsume:
    def use(self, approval: Approval, digest: str | None = None) -> dict[UUID, list[str]]:
        with transaction.atomic():
            return services.consume_batch([(approval.pk, digest or approval.digest)])

    def test_an_answer_serves_once(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])

        assert self.use(approval) == {approval.pk: ["operator"]}
        assert self.use(approval) == {}
        assert kinds(approval.pk) == ["approval.approved", "approval.consumed"]

    def test_it_serves_no_other_action(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        other = binding_digest(bound(approval.run_id, {"reservation_id": "OTHER1"}))

        assert self.use(approval, other) == {}

    @pytest.mark.parametrize("state", ["pending", "rejected", "expired", "void"])
    def test_only_approved_ones_serve(self, state: str) -> None:
        assert self.use(ApprovalFactory.create(state=state)) == {}

    def test_not_after_its_time(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        Approval.objects.filter(pk=approval.pk).update(expires_at=timezone.now())

        assert self.use(approval) == {}

    def test_not_when_the_approver_was_disabled_meanwhile(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        User.objects.filter(pk=people["operator"].pk).update(is_active=False)

        assert self.use(approval) == {}

    def test_not_when_the_approver_was_reset_meanwhile(self, people: People) -> None:
        """Whoever the account belonged to when it answered, it may be somebody else's now."""
        approval = answer(ApprovalFactory.create(), people["operator"])
        User.objects.filter(pk=people["operator"].pk).update(enrolled_at=None)

        assert self.use(approval) == {}

    def test_not_when_the_approver_has_another_role_now(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        User.objects.filter(pk=people["operator"].pk).update(role="admin")

        assert self.use(approval) == {}

    def test_an_answer_in_the_last_second_is_still_used(self, people: People) -> None:
        soon = timezone.now() + timedelta(seconds=20)
        approval = answer(ApprovalFactory.create(expires_at=soon), people["operator"])

        assert approval.expires_at > soon + timedelta(minutes=10)

    def test_a_batch_takes_those_that_hold(self, people: People) -> None:
        good = answer(ApprovalFactory.create(), people["operator"])
        bad = ApprovalFactory.create()

        with transaction.atomic():
            used = services.consume_batch([(bad.pk, bad.digest), (good.pk, good.digest)])

        assert set(used) == {good.pk}


class TestForged:
    """Whoever can write to the tables can't have anything carried out by that."""

    def use(self, approval: Approval, votes: int = 1) -> dict[UUID, list[str]]:
        with transaction.atomic():
            return services.consume_batch(
                [(approval.pk, approval.digest)], votes={approval.pk: votes}
            )

    def refused(self, approval: Approval) -> str:
        """Why it was; fails if it wasn't, wholly."""
        row = Approval.objects.get(pk=approval.pk)
        assert (row.state, row.consumed_at) == ("void", None)
        assert row.signature_refused_at is not None
        event = Event.objects.get(subject_id=str(approval.pk), kind="approval.signature_refused")
        return str(event.payload["why"])

    def test_an_approval_that_was_written_into_the_table(self, people: People) -> None:
        approval = ApprovalFactory.create()
        now = timezone.now()
        Approval.objects.filter(pk=approval.pk).update(
            state="approved", decided_by=people["operator"], decided_at=now, reason="forged"
        )
        Vote.objects.create(
            approval=approval,
            user=people["operator"],
            approve=True,
            digest=approval.digest,
            nonce="n",
        )

        assert self.use(approval) == {}
        assert self.refused(approval) == "The answer has no signature."

    def test_a_rejection_that_was_turned_round(self, people: People) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"], approve=False)
        Approval.objects.filter(pk=approval.pk).update(state="approved")
        with past_triggers("approvals_vote"):
            Vote.objects.filter(approval=approval).update(approve=True)

        assert self.use(approval) == {}
        assert "does not fit the answer" in self.refused(approval)

    @pytest.mark.parametrize(
        "change",
        [
            *({"sentence": "Refund $5"}, {"amount_cents": 500}, {"preview": {"changes": []}}),
            *({"arguments": {"a": 1}}, {"rules": []}, {"facts": {"x": 1}}, {"customer": "else"}),
            *({"agent_text": "said"}, {"risk": 1}, {"votes_required": 3}, {"contract_number": 9}),
            *({"reason": "other"}, {"key_id": "0" * 16}, {"signature": "AAAA"}),
        ],
    )
    def test_an_answer_of_which_anything_was_changed(
        self, people: People, change: dict[str, Any]
    ) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        Approval.objects.filter(pk=approval.pk).update(**change)

        assert self.use(approval) == {}
        assert self.refused(approval)

    def test_a_second_vote_that_nobody_cast(self, people: People) -> None:
        """Written after the decision, it is none of those that the decision names."""
        approval = answer(ApprovalFactory.create(), people["operator"])
        Vote.objects.create(
            approval=approval,
            user=people["operator2"],
            approve=True,
            digest=approval.digest,
            nonce="n2",
            signature=Vote.objects.get(approval=approval).signature,
            key_id=Vote.objects.get(approval=approval).key_id,
        )

        assert self.use(approval, votes=2) == {}
        assert self.refused(approval)

    def test_a_first_vote_that_nobody_cast_counts_for_nothing(self, people: People) -> None:
        approval = ApprovalFactory.create(votes_required=2)
        Vote.objects.create(
            approval=approval,
            user=people["operator2"],
            approve=True,
            digest=approval.digest,
            nonce="n2",
        )

        after_one = answer(approval, people["operator"])
        after_two = answer(approval, people["operator2"])

        assert after_one.state == "pending"
        assert after_two.state == "approved"
        assert kinds(approval.pk) == [
            "approval.vote_refused",
            "approval.voted",
            "approval.approved",
        ]
        assert self.use(approval, votes=2) == {approval.pk: ["operator"]}

    def test_the_others_of_the_batch_are_used(self, people: People) -> None:
        good = answer(ApprovalFactory.create(), people["operator"])
        forged = answer(ApprovalFactory.create(), people["operator"])
        Approval.objects.filter(pk=forged.pk).update(reason="other")

        with transaction.atomic():
            used = services.consume_batch([(a.pk, a.digest) for a in (forged, good)])

        assert set(used) == {good.pk}
        assert self.refused(forged)

    def test_what_a_revoked_key_signed(self, people: People, settings: Any, tmp_path: Path) -> None:
        settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
        settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
        before = answer(ApprovalFactory.create(), people["operator"])
        adapters.rotate()
        after = answer(ApprovalFactory.create(), people["operator"])
        adapters.revoke(before.key_id)

        assert self.use(before) == {}
        assert self.use(after) == {after.pk: ["operator"]}
        assert self.refused(before)

    def test_an_answer_of_a_release_that_did_not_sign_votes_still_serves(
        self, people: People
    ) -> None:
        approval = answer(ApprovalFactory.create(), people["operator"])
        with past_triggers("approvals_vote"):
            Vote.objects.filter(approval=approval).update(signature="", key_id="")
        asked = proving.asked_of(approval)
        decision = SignedDecision("approved", "operator", approval.reason, approval.decided_at)
        signature, key_id = adapters.sign(first_payload(asked, decision, ["operator"]))
        Approval.objects.filter(pk=approval.pk).update(signature=signature, key_id=key_id)

        assert self.use(approval) == {approval.pk: ["operator"]}

    @pytest.mark.parametrize("is_forged", [False, True])
    def test_an_answer_that_two_releases_took_side_by_side_serves_if_its_signed_votes_fit(
        self, people: People, is_forged: bool
    ) -> None:
        approval = ApprovalFactory.create(votes_required=2)
        answer(approval, people["operator"])
        approval = answer(approval, people["operator2"])
        with past_triggers("approvals_vote"):
            Vote.objects.filter(user=people["operator2"]).update(signature="", key_id="")
        decision = SignedDecision("approved", "operator2", approval.reason, approval.decided_at)
        payload = first_payload(proving.asked_of(approval), decision, ["operator", "operator2"])
        signature, key_id = adapters.sign(payload)
        Approval.objects.filter(pk=approval.pk).update(signature=signature, key_id=key_id)
        if is_forged:
            with past_triggers("approvals_vote"):
                Vote.objects.filter(user=people["operator"]).update(reason="other")

        used = self.use(approval, votes=2)

        assert used == ({} if is_forged else {approval.pk: ["operator"]})


class TestClaims:
    def test_claim_renew_release(self, people: People) -> None:
        approval = ApprovalFactory.create()
        me = people["operator"]

        first = services.claim(approval_id=approval.pk, user=me)
        renewed = services.claim(approval_id=approval.pk, user=me)
        released = services.release(approval_id=approval.pk, user=me)

        assert first.claimed_by == me
        assert first.claimed_until is not None
        assert renewed.claimed_until is not None
        assert renewed.claimed_until > first.claimed_until
        assert released.claimed_by is None
        assert kinds(approval.pk) == ["approval.claimed", "approval.released"]

    def test_a_live_claim_binds_until_taken_over_with_a_reason(self, people: People) -> None:
        approval = ApprovalFactory.create()
        services.claim(approval_id=approval.pk, user=people["operator"])

        with pytest.raises(ConflictError) as blocked:
            answer(approval, people["operator2"])
        with pytest.raises(ConflictError) as without_reason:
            services.claim(approval_id=approval.pk, user=people["operator2"])
        services.claim(approval_id=approval.pk, user=people["operator2"], reason="on lunch")

        assert blocked.value.detail["who"] == without_reason.value.detail["who"] == "operator"
        assert answer(approval, people["operator2"]).state == "approved"
        assert kinds(approval.pk) == [
            "approval.claimed",
            "approval.taken_over",
            "approval.approved",
        ]

    def test_a_claim_ends_by_itself(self, people: People) -> None:
        approval = ApprovalFactory.create(
            claimed_by=people["operator"], claimed_until=timezone.now()
        )

        claimed = services.claim(approval_id=approval.pk, user=people["operator2"])

        assert claimed.claimed_by == people["operator2"]

    def test_releasing_leaves_anothers_claim_alone(self, people: People) -> None:
        approval = ApprovalFactory.create()
        services.claim(approval_id=approval.pk, user=people["operator"])

        released = services.release(approval_id=approval.pk, user=people["operator2"])

        assert released.claimed_by == people["operator"]

    def test_only_deciders_claim(self, people: People) -> None:
        with pytest.raises(NotPermittedError):
            services.claim(approval_id=ApprovalFactory.create().pk, user=people["auditor"])


def test_expire_due_ends_what_nobody_decided() -> None:
    late = ApprovalFactory.create(expires_at=timezone.now() - timedelta(seconds=1))
    ApprovalFactory.create()

    assert services.expire_due() == 1
    assert services.expire_due() == 0
    assert Approval.objects.get(pk=late.pk).state == "expired"
    assert kinds(late.pk) == ["approval.expired"]


def test_a_run_that_ends_takes_its_questions_along(people: People) -> None:
    run = new_id()
    waiting = ApprovalFactory.create(run_id=run)
    unused = answer(ApprovalFactory.create(run_id=run), people["operator"])
    other = ApprovalFactory.create()

    with transaction.atomic():
        assert services.void_for_run(run) == 2

    found = services.states_of([waiting.pk, unused.pk, other.pk])
    assert {pk: row.state for pk, row in found.items()} == {
        waiting.pk: "void",
        unused.pk: "void",
        other.pk: "pending",
    }
    assert set(services.decided_among([waiting.pk, other.pk])) == {waiting.pk}
