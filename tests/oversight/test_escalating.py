"""Questions that wait too long, on a real database: who is called, once, and how they end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.oversight import services
from apps.oversight.domain.ladder import BEYOND, OVERDUE
from apps.oversight.models import Approval, Escalation
from apps.oversight.services import escalating
from tests.factories.approvals import USUAL_LADDER, ApprovalFactory
from tests.oversight.test_services import answer, question

pytestmark = pytest.mark.django_db
People = dict[str, User]
HOUR = timedelta(hours=1)


def waiting(share: float, *, stays_open: bool = False, **changes: Any) -> Approval:
    """A question of whose window of one hour this share has passed."""
    asked = timezone.now() - HOUR * share
    more = {"ends_at": asked + 3 * HOUR, "on_timeout": "escalate"} if stays_open else {}
    given = {"created_at": asked, "expires_at": asked + HOUR, "ladder": USUAL_LADDER, **more}
    return ApprovalFactory.create(**{**given, "rung_at": asked + HOUR / 2, **changes})


def facts(approval: Approval) -> list[Any]:
    events = apps.get_model("audit", "Event").objects.filter(subject_id=str(approval.pk))
    return list(events.order_by("id"))


def calls(approval: Approval) -> list[tuple[str, str]]:
    return [(e.words, e.why) for e in approval.escalations.select_related("by")]


def ask(**shown: Any) -> Approval:
    given = question()
    with transaction.atomic():
        (pk,) = services.request_batch([question(shown={**given.shown, **shown})])
    return Approval.objects.get(pk=pk)


def test_asking_freezes_the_ladder_and_says_when_to_look() -> None:
    approval = ask(ladder=USUAL_LADDER, window_s=100)

    assert approval.ladder == USUAL_LADDER
    assert approval.rung_at == approval.created_at + timedelta(seconds=50)
    assert approval.ends_at is None
    assert ask().rung_at is None


@pytest.mark.parametrize(
    ("on_timeout", "deadline_s", "outlives"),
    [("reject", 900, False), ("escalate", 900, True), ("escalate", 60, False)],
)
def test_a_question_outlives_its_window_only_until_the_deadline(
    on_timeout: str, deadline_s: int, outlives: bool
) -> None:
    deadline = timezone.now() + timedelta(seconds=deadline_s)

    approval = ask(on_timeout=on_timeout, deadline_at=deadline, window_s=120)

    assert approval.ends_at == (deadline if outlives else None)
    assert approval.rung_at == (approval.expires_at if outlives else None)


def test_the_sweep_calls_each_rung_once_and_says_so() -> None:
    early, half, late = waiting(0.4), waiting(0.6), waiting(0.9)

    assert [services.escalate_due(), services.escalate_due()] == [2, 0]

    assert calls(early) == []
    assert calls(half) == [("operators", "50 % of the window")]
    assert calls(late) == [*calls(half), ("the lead", "80 % of the window")]
    (event,) = facts(half)
    assert (event.kind, event.actor, event.run_id) == (
        "approval.escalated",
        "system:sweeper",
        half.run_id,
    )
    said = {"to": "operators", "role": "operator", "rung": 0, "share": 0.5}
    assert event.payload == {"step_id": str(half.step_id), **said}
    half.refresh_from_db()
    assert half.rung_at == half.created_at + HOUR * 0.8


@pytest.mark.parametrize("changes", [{"state": "approved"}, {"expires_at": timezone.now()}])
def test_nobody_is_called_about_what_is_over(changes: dict[str, Any]) -> None:
    approval = waiting(0.9, **changes)

    assert services.escalate_due() == 0
    assert calls(approval) == []


def test_two_rows_for_one_rung_can_not_be() -> None:
    approval = waiting(0.6)
    services.escalate_due()
    again = Escalation(approval=approval, rung=0, to="lead", role="admin", share=0.5)

    with pytest.raises(IntegrityError), transaction.atomic():
        again.save()


class TestOverdue:
    def test_it_stays_open_and_calls_the_last_of_the_ladder(self, people: People) -> None:
        approval = waiting(1.5, stays_open=True)

        assert (services.expire_due(), services.escalate_due()) == (0, 1)

        approval.refresh_from_db()
        assert (approval.state, approval.rung_at) == ("pending", None)
        assert calls(approval)[-1] == ("the lead", "the window has passed")
        assert approval.escalations.last().rung == OVERDUE
        services.claim(approval_id=approval.pk, user=people["operator"])
        assert answer(approval, people["operator"]).state == "approved"

    def test_without_a_ladder_it_calls_the_admins(self) -> None:
        approval = waiting(1.5, stays_open=True, ladder=[])

        services.escalate_due()

        assert calls(approval) == [("admins", "the window has passed")]

    def test_two_votes_count_beyond_the_window_too(self, people: People) -> None:
        approval = waiting(1.5, stays_open=True, votes_required=2)

        first = answer(approval, people["operator"])
        second = answer(approval, people["operator2"])

        assert (first.state, second.state) == ("pending", "approved")
        with transaction.atomic():
            assert services.consume(approval.pk, approval.digest)

    def test_the_deadline_rejects_it_and_nobody_can_answer_then(self, people: People) -> None:
        approval = waiting(3.5, stays_open=True)

        with pytest.raises(ConflictError) as late:
            answer(approval, people["operator"])

        assert (late.value.code, late.value.detail["when"]) == ("expired", approval.ends_at)
        assert (services.expire_due(), services.escalate_due()) == (1, 0)
        approval.refresh_from_db()
        assert approval.state == "expired"
        assert [e.kind for e in facts(approval)] == ["approval.expired"]

    @pytest.mark.parametrize(("share", "state"), [(1.5, "void"), (3.5, "expired")])
    def test_a_run_that_ends_takes_back_only_what_had_time(self, share: float, state: str) -> None:
        approval = waiting(share, stays_open=True)

        with transaction.atomic():
            services.void_for_run(approval.run_id)

        approval.refresh_from_db()
        assert approval.state == state

    def test_what_says_reject_ends_with_its_window(self) -> None:
        approval = waiting(1.01)

        assert services.expire_due() == 1
        approval.refresh_from_db()
        assert approval.state == "expired"


class TestByHand:
    def test_the_next_rung_is_climbed_with_a_note(self, people: People) -> None:
        approval = waiting(0.1)

        services.escalate(
            approval_id=approval.pk, user=people["operator"], note=" Odd fare ", rung=0
        )

        call = approval.escalations.get()
        assert (call.words, call.why, call.note) == ("operators", "by operator", "Odd fare")
        assert call.comes_first
        (event,) = facts(approval)
        assert (event.kind, event.actor) == ("approval.escalated", "user:operator")
        assert event.payload["note"] == "Odd fare"
        approval.refresh_from_db()
        assert (approval.state, approval.rung_at) == ("pending", approval.created_at + HOUR * 0.8)

    def test_the_clock_leaves_a_climbed_rung_alone(self, people: People) -> None:
        approval = waiting(0.6)
        services.escalate(approval_id=approval.pk, user=people["operator"], note="n", rung=0)

        assert services.escalate_due() == 0
        assert calls(approval) == [("operators", "by operator")]

    def test_sent_twice_it_counts_once(self, people: People) -> None:
        approval = waiting(0.1)
        for _ in range(2):
            services.escalate(approval_id=approval.pk, user=people["operator"], note="n", rung=0)

        assert approval.escalations.count() == 1

    def test_the_second_of_two_hears_who_was_first(self, people: People) -> None:
        approval = waiting(0.1)
        services.escalate(approval_id=approval.pk, user=people["operator"], note="n", rung=0)

        with pytest.raises(ConflictError) as second:
            services.escalate(approval_id=approval.pk, user=people["operator2"], note="n", rung=0)

        assert second.value.detail["who"] == "operator"
        assert isinstance(second.value.detail["when"], datetime)

    def test_above_the_ladder_stand_the_admins_once(self, people: People) -> None:
        approval = waiting(0.1, ladder=[])
        given = {"approval_id": approval.pk, "user": people["operator"], "note": "n"}

        services.escalate(**given, rung=BEYOND)
        with pytest.raises(ConflictError, match="no further escalation target"):
            services.escalate(**given, rung=0)

        assert calls(approval) == [("admins", "by operator")]

    def test_what_is_decided_can_not_be_escalated(self, people: People) -> None:
        approval = waiting(0.1)
        answer(approval, people["operator2"])

        with pytest.raises(ConflictError, match="This was approved") as late:
            services.escalate(approval_id=approval.pk, user=people["operator"], note="n", rung=0)

        assert (late.value.code, late.value.detail["who"]) == ("decided", "operator2")

    def test_nor_what_has_run_out_of_time(self, people: People) -> None:
        approval = waiting(1.5)

        with pytest.raises(ConflictError) as late:
            services.escalate(approval_id=approval.pk, user=people["operator"], note="n", rung=0)

        assert late.value.code == "expired"

    def test_a_note_and_the_right_role_are_needed(self, people: People) -> None:
        approval = waiting(0.1)

        with pytest.raises(InvalidInputError, match="Say why"):
            services.escalate(approval_id=approval.pk, user=people["operator"], note=" ", rung=0)
        with pytest.raises(NotPermittedError):
            services.escalate(approval_id=approval.pk, user=people["admin"], note="n", rung=0)
        assert calls(approval) == []


@pytest.mark.parametrize(
    "written",
    [
        [{"at": "half", "to": "lead"}],
        [{"at": 1e308, "to": "lead"}],
        [{"to": "lead"}],
        ["lead"],
        [None],
        {"at": 0.5},
        "lead",
        [{"at": 0.5, "to": None}],
    ],
)
def test_a_ladder_that_cannot_be_read_calls_the_admins_and_holds_up_no_other(
    written: Any,
) -> None:
    odd, usual = waiting(0.6, ladder=written), waiting(0.6)

    services.escalate_due()

    assert [e.to for e in usual.escalations.all()] == ["operators"]
    called = [e.to for e in odd.escalations.all()]
    assert called in (["admins"], [])
    assert bool(called) == isinstance(written, list)
    odd.refresh_from_db()
    assert odd.rung_at is None


def test_a_question_that_cannot_be_escalated_is_left_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd, usual = waiting(0.6), waiting(0.6)
    climb = escalating._climb

    def some(row: Approval, *given: Any) -> None:
        if row.pk == odd.pk:
            raise ValueError("odd")
        climb(row, *given)

    monkeypatch.setattr(escalating, "_climb", some)

    services.escalate_due()

    assert [e.to for e in usual.escalations.all()] == ["operators"]
    odd.refresh_from_db()
    assert odd.rung_at > timezone.now()
