"""Whoever steers an agent gets no yes by asking again and again: through the engine, with a real
drain, a real tool service and its ledger."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.audit.models import Event
from apps.oversight.models import Approval, AskingTurn, Vote
from apps.runs.models import Attempt, Run, Step
from tests.engine.conftest import Tower
from tests.engine.shop import call
from tests.engine.test_drain import RETURN, drain, ledger
from tests.factories.accounts import UserFactory
from tests.factories.approvals import decide

REFUND = call("return_delivered_order_items", 0, **RETURN)
DONE = {"done": "x"}


def vote(asked: Approval, user: User, *, approve: bool) -> str:
    return decide(asked, user, approve=approve).state


def person() -> User:
    return UserFactory.create(role="operator")


def test_what_was_rejected_and_is_proposed_again_takes_two_people(tower: Tower) -> None:
    tower.start([[REFUND, call("return_delivered_order_items", 1, **RETURN), DONE]])
    drain()
    vote(Approval.objects.get(), person(), approve=False)
    drain()
    again = Approval.objects.get(state="pending")

    assert vote(again, person(), approve=True) == "pending"
    drain()
    assert ledger(tower, Run.objects.get()) == []

    assert vote(again, person(), approve=True) == "approved"
    drain()
    assert Step.objects.get(seq=2).disposition == "executed"
    assert len(ledger(tower, Run.objects.get())) == 1


def test_two_hundred_proposals_of_one_refund_get_nothing_past_one_tired_person(
    tower: Tower, settings: Any
) -> None:
    settings.QUESTIONS_PER_MINUTE = 30
    same = {"world": "test/one-world"}
    tower.start([[REFUND, DONE]] * 200, context=same)
    tired, other = person(), person()

    drain()

    assert Approval.objects.count() == 30
    waiting = Step.objects.filter(state="queued")
    assert waiting.count() == 170
    assert set(waiting.values_list("waits_for", "attempts_made")) == {
        ("30 questions a minute of agent retail-reference", 0)
    }
    assert not Attempt.objects.exists()
    assert Event.objects.filter(kind="agent.asks_too_much").count() == 1

    first, *others = Approval.objects.all()
    assert vote(first, tired, approve=False) == "rejected"
    assert {vote(asked, tired, approve=True) for asked in others} == {"pending"}
    drain()
    assert ledger(tower, Run.objects.exclude(pk=first.run_id)[0]) == []

    _every_turn_has_come()
    drain()
    assert Approval.objects.count() == 200, "nothing is lost"
    assert not Step.objects.filter(state="queued").exists()
    late = Approval.objects.exclude(Q(pk=first.pk) | Q(pk__in=[a.pk for a in others]))
    assert {vote(asked, tired, approve=True) for asked in late} == {"pending"}
    drain()
    assert not Attempt.objects.exists()

    assert vote(others[0], other, approve=True) == "approved"
    drain()
    assert Step.objects.filter(disposition="executed").count() == 1
    assert Vote.objects.filter(approval=others[0], approve=True).count() == 2


def _every_turn_has_come() -> None:
    passed = timedelta(minutes=30)
    AskingTurn.objects.update(at=F("at") - passed, given_at=F("given_at") - passed)
    Step.objects.filter(state="queued").update(not_before=Now())


def test_another_agent_is_asked_about_meanwhile(tower: Tower, settings: Any) -> None:
    settings.QUESTIONS_PER_MINUTE = 2
    tower.start([[REFUND, DONE]] * 6)
    drain()

    tower.start([[REFUND, DONE]], agent_kind="recorded")
    drain()

    asked = Counter(Approval.objects.values_list("agent_slug", flat=True))
    assert asked == {"retail-reference": 2, "retail-recorded": 1}
