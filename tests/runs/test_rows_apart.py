"""A row that PostgreSQL refuses is its own trouble: a duty deals with the others in the same pass,
ends that one where it can, and sets it aside where it can't."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit import services as audit
from apps.audit.domain.actors import Actor
from apps.audit.domain.subscriber import MOST_TRIES
from apps.audit.models import DeadLetter, Event, Subscription
from apps.audit.services import Fact
from apps.kernel.transactions import command
from apps.oversight import services as approvals
from apps.oversight.models import Approval
from apps.runs import services
from apps.runs.apps import DECISIONS
from apps.runs.domain.barrier import StopScope
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.models import PARKED_UNTIL, Step
from apps.runs.services import pausing, stops
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import StepFactory
from tests.refusing import is_one_of, refused, states

pytestmark = pytest.mark.django_db(transaction=True)
PAST = timedelta(minutes=-1)
REGISTERS = (
    approvals.UNENDABLE,
    pausing.NOT_LET_GO,
    stops.NOT_FREED,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("apps.runs.dispatch.ring", lambda _: None)
    for register in REGISTERS:
        register.forget()
    yield
    for register in REGISTERS:
        register.forget()


# --- parked steps ---------------------------------------------------------------------------------


def parked(n: int, waits_for: str) -> list[Step]:
    values = {"state": "queued", "not_before": PARKED_UNTIL, "waits_for": waits_for}
    return [StepFactory.create(**values) for _ in range(n)]


def still_parked(steps: Sequence[Step]) -> list[bool]:
    found = {s.pk: s.waits_for != "" for s in Step.objects.all()}
    return [found[s.pk] for s in steps]


def test_a_step_of_a_resumed_run_that_cant_be_let_go_leaves_the_others_to_be() -> None:
    steps = parked(5, WAITS_FOR_RESUME)

    with refused("runs_step", is_one_of([steps[3].pk])):
        assert services.unpark_resumed() == 4
        assert services.unpark_resumed() == 0

    assert still_parked(steps) == [False] * 3 + [True, False]
    assert [what for what, _ in pausing.NOT_LET_GO.told()] == [f"step {steps[3].pk}"]

    pausing.NOT_LET_GO.forget()
    assert services.unpark_resumed() == 1


def test_a_step_that_cant_be_freed_leaves_the_others_to_be() -> None:
    steps = parked(5, "everything is stopped")

    with refused("runs_step", is_one_of([steps[0].pk])):
        assert stops.wake_freed() == ["normal"]
        assert stops.wake_freed() == []

    assert still_parked(steps) == [True] + [False] * 4
    assert [what for what, _ in stops.NOT_FREED.told()] == [f"step {steps[0].pk}"]


def test_a_stop_is_lifted_whatever_one_step_says_and_the_sweep_wakes_the_others() -> None:
    steps = parked(3, "everything is stopped")
    admin = UserFactory.create(role="admin")
    stop = stops.place_stop(StopScope.EVERYTHING, "", reason="x", person=admin)

    with refused("runs_step", is_one_of([steps[1].pk])):
        stops.lift_stop(stop, reason="y", person=admin)
        assert stops.wake_freed() == ["normal"]

    assert still_parked(steps) == [False, True, False]


# --- questions ------------------------------------------------------------------------------------


def test_a_question_that_cant_be_ended_is_set_aside_and_the_others_expire() -> None:
    late = [ApprovalFactory.create(expires_at=timezone.now() + PAST) for _ in range(7)]
    bad = late[0]

    with refused("approvals_approval", is_one_of([bad.pk])):
        assert approvals.expire_due() == 6
        assert approvals.expire_due() == 0

    assert states(late) == ["pending"] + ["expired"] * 6
    kinds = Event.objects.filter(kind="approval.expired").values_list("subject_id", flat=True)
    assert sorted(kinds) == sorted(str(a.pk) for a in late[1:])
    assert [what for what, _ in approvals.UNENDABLE.told()] == [f"question {bad.pk}"]

    approvals.UNENDABLE.forget()
    assert approvals.expire_due() == 1


def test_an_event_that_is_refused_keeps_its_own_question_only() -> None:
    late = [ApprovalFactory.create(expires_at=timezone.now() + PAST) for _ in range(4)]
    bad = f"NEW.subject_id = '{late[2].pk}'"

    with refused("audit_event", bad, on="INSERT"):
        assert approvals.expire_due() == 3

    assert states(late) == ["expired", "expired", "pending", "expired"]


def test_more_questions_than_are_ended_at_once_hide_none_behind_those_that_cant_be() -> None:
    for _ in range(3):
        ApprovalFactory.create(expires_at=timezone.now() + 2 * PAST)
    bad = list(Approval.objects.values_list("pk", flat=True))
    good = ApprovalFactory.create(expires_at=timezone.now() + PAST)

    with refused("approvals_approval", is_one_of(bad)):
        assert approvals.expire_due(limit=3) == 0
        assert approvals.expire_due(limit=3) == 1

    assert states([good]) == ["expired"]


def test_a_decision_that_cant_be_heard_leaves_the_others_to_be() -> None:
    audit.deliver(DECISIONS)  # from here on
    decided = [ApprovalFactory.create(state="approved") for _ in range(5)]
    steps = [StepFactory.create(state="waiting_approval", approval_id=a.pk) for a in decided]
    facts = [Fact("approval.approved", Actor.user("ida"), "approval", str(a.pk)) for a in decided]
    with refused("runs_step", is_one_of([steps[3].pk])):
        command(audit.record_many)(facts)
        audit.seal()
        assert audit.deliver(DECISIONS).delivered == 3
        assert states(steps) == ["queued"] * 3 + ["waiting_approval"] * 2
        for _ in range(MOST_TRIES):
            Subscription.objects.update(next_try_at=None)
            audit.deliver(DECISIONS)

    assert states(steps) == ["queued"] * 3 + ["waiting_approval", "queued"]
    assert DeadLetter.objects.get().event.subject_id == str(decided[3].pk)
