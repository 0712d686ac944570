"""Lost answers of a real tool service, resolved every way; its ledger is the witness."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.audit.services import sweep
from apps.calls.domain.lookup import Looked
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult
from apps.oversight.models import Approval
from apps.oversight.services import edit
from apps.policy.models import Decision
from apps.runs import reconcile
from apps.runs.course import RunCache
from apps.runs.domain.finding import FindingVerdict
from apps.runs.engine.commit import claim_and_commit, commit
from apps.runs.models import Attempt, Finding, Message, Receipt, Run, Step
from apps.runs.work import Finished
from apps.workers.recovery import take_back_leases
from tests.engine import shop
from tests.engine.conftest import Tower
from tests.engine.shop import address, busy_script, call
from tests.engine.test_drain import RETURN, answer, drain, ledger
from tests.factories.accounts import UserFactory

TOOL = "modify_user_address"
DONE = {"kind": "drop_reply"}  # the tool works, then cuts the connection
UNDONE = {"kind": "error_before", "status": 500}  # it doesn't work, and says nothing about that


@pytest.fixture
def operator(transactional_db: None) -> User:
    return UserFactory.create(role="operator")


def lose(tower: Tower, fault: dict[str, Any], *, count: int, tool: str = TOOL) -> None:
    """Let the next calls of a tool go wrong."""
    faults = [{**fault, "tool": tool, "count": count}]
    asyncio.run(tower.service.ask("tower_faults", faults=faults))


def lost(tower: Tower, fault: dict[str, Any], *, count: int, moves: int = 2) -> Step:
    """A run whose first move was sent, and of which nobody knows whether it happened."""
    lose(tower, fault, count=count)
    tower.start([busy_script(moves)])
    drain(linger_s=2)
    step = Step.objects.get(state="confirmation_unknown")
    assert (step.tool_name, step.attempts_made, step.run.state) == (TOOL, count, step.state)
    return step


def say(step: Step, verdict: FindingVerdict, person: User) -> None:
    settled = reconcile.resolve(
        step.id,
        round_number=step.attempts_made,
        verdict=verdict,
        evidence="looked into the shop's records",
        person=person,
    )
    assert settled


def streets(tower: Tower) -> int:
    """How many moves the shop's own ledger has."""
    return len(ledger(tower, Run.objects.get()))


@pytest.mark.unkeyed
def test_said_to_have_happened_it_is_never_sent_again(tower: Tower, operator: User) -> None:
    step = lost(tower, DONE, count=1)
    assert streets(tower) == 1

    say(step, FindingVerdict.HAPPENED, operator)
    drain()

    assert set(Run.objects.values_list("state", "outcome")) == {("succeeded", "resolved")}
    assert Attempt.objects.filter(step=step).count() == 1
    assert Receipt.objects.get(step=step).evidence == "person"
    assert streets(tower) == 2


@pytest.mark.unkeyed
def test_tried_again_it_is_decided_afresh_and_happens_once(tower: Tower, operator: User) -> None:
    step = lost(tower, UNDONE, count=1)
    assert streets(tower) == 0

    say(step, FindingVerdict.TRY_AGAIN, operator)
    drain()

    step.refresh_from_db()
    assert (step.disposition, step.attempts_made) == ("executed", 2)
    assert Decision.objects.filter(step_id=step.id).count() == 2
    assert Run.objects.get().state == "succeeded"
    assert streets(tower) == 2


@pytest.mark.unkeyed
def test_left_undone_the_run_goes_on_without_it(tower: Tower, operator: User) -> None:
    step = lost(tower, UNDONE, count=1)

    say(step, FindingVerdict.GIVE_UP, operator)
    drain()

    assert [s.disposition for s in Step.objects.filter(tool_name=TOOL).order_by("seq")] == [
        "failed",
        "executed",
    ]
    assert streets(tower) == 1


@pytest.mark.unkeyed
def test_lost_again_it_is_unknown_again(tower: Tower, operator: User) -> None:
    step = lost(tower, UNDONE, count=1)
    lose(tower, DONE, count=1)

    say(step, FindingVerdict.TRY_AGAIN, operator)
    drain()

    step.refresh_from_db()
    assert (step.state, step.attempts_made) == ("confirmation_unknown", 2)
    say(step, FindingVerdict.HAPPENED, operator)
    drain()
    assert Run.objects.get().state == "succeeded"
    assert Finding.objects.filter(settled=True).count() == 2
    assert streets(tower) == 2


@pytest.mark.unkeyed
def test_what_a_person_had_approved_is_asked_of_a_person_again(
    tower: Tower, operator: User
) -> None:
    lose(tower, UNDONE, count=1, tool="return_delivered_order_items")
    tower.start([[call("return_delivered_order_items", 0, **RETURN), {"done": "x"}]])
    drain()
    answer(Approval.objects.get(), approve=True)
    drain()
    step = Step.objects.get(state="confirmation_unknown")

    say(step, FindingVerdict.TRY_AGAIN, operator)
    drain()

    step.refresh_from_db()
    assert step.state == "waiting_approval"
    assert ledger(tower, Run.objects.get()) == []
    answer(Approval.objects.get(state="pending"), approve=True)
    drain()
    assert len(ledger(tower, Run.objects.get())) == 1


@pytest.fixture
def card_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns to a card are asked of a person; others run by policy."""
    when = 'when { context.arguments.contains("payment_method_id=card") }'
    monkeypatch.setattr(shop, "POLICY", shop.POLICY.replace("  unless {", f"  {when} unless {{"))


@pytest.mark.unkeyed
def test_what_a_person_had_edited_is_asked_of_a_person_again_though_policy_permits_it(
    card_only: None, tower: Tower, operator: User
) -> None:
    lose(tower, UNDONE, count=1, tool="return_delivered_order_items")
    tower.start([[call("return_delivered_order_items", 0, **RETURN), {"done": "x"}]])
    drain()
    asked = Approval.objects.get()
    edit(
        approval_id=asked.pk,
        user=operator,
        arguments={**RETURN, "payment_method_id": "gift"},
        reason="she has the card no more",
        digest=asked.digest,
    )
    drain()
    answer(Approval.objects.get(state="pending"), approve=True)
    drain()
    step = Step.objects.get(state="confirmation_unknown")

    say(step, FindingVerdict.TRY_AGAIN, operator)
    drain()

    assert ledger(tower, Run.objects.get()) == [], "nothing runs that nobody approved"
    again = Approval.objects.get(state="pending")
    assert again.rules[0]["id"] == "edited"
    assert again.bound_to["edited"]["by"] == [operator.username]
    answer(again, approve=True)
    drain()
    assert len(ledger(tower, Run.objects.get())) == 1
    assert Message.objects.filter(role="tower", content__contains="A person edited").exists()


def test_a_keyed_call_is_looked_up_and_settled_by_its_own_answer(
    tower: Tower, operator: User
) -> None:
    step = lost(tower, DONE, count=4)
    assert streets(tower) == 1

    assert reconcile.look_up(step.id, person=operator) is Looked.FOUND
    drain()

    step.refresh_from_db()
    assert (step.disposition, Receipt.objects.get(step=step).evidence) == ("executed", "lookup")
    answers = Step.objects.filter(tool_name=TOOL).order_by("seq").values_list("result", flat=True)
    assert "0 Road" in answers[0]["content"]
    assert type(answers[0]["data"]) is type(answers[1]["data"])
    [first, _] = ledger(tower, Run.objects.get())
    assert first["key"] == step.idempotency_key
    assert Run.objects.get().state == "succeeded"


def test_a_key_that_the_tool_does_not_know_is_evidence_for_a_person(
    tower: Tower, operator: User
) -> None:
    step = lost(tower, UNDONE, count=4)

    assert reconcile.look_up(step.id, person=operator) is Looked.ABSENT
    assert Step.objects.get(pk=step.pk).state == "confirmation_unknown"
    say(step, FindingVerdict.TRY_AGAIN, operator)
    drain()

    assert Run.objects.get().state == "succeeded"
    assert streets(tower) == 2


def test_a_wrong_word_about_a_keyed_call_does_not_double_it(tower: Tower, operator: User) -> None:
    step = lost(tower, DONE, count=4)

    say(step, FindingVerdict.TRY_AGAIN, operator)  # it had happened
    drain()

    assert Receipt.objects.get(step=step).evidence == "replayed"
    assert streets(tower) == 2


def test_the_sweep_finds_a_late_answer_by_itself(tower: Tower) -> None:
    step = lost(tower, DONE, count=4)
    assert Finding.objects.count() == 0

    Step.objects.filter(pk=step.pk).update(not_before=Now())
    assert sweep().looked_up == 1
    drain()

    assert Run.objects.get().state == "succeeded"
    assert Finding.objects.get().person is None
    assert streets(tower) == 2
    assert not Step.objects.filter(state="confirmation_unknown").exists()


def test_a_service_that_is_away_leaves_the_sweep_calm(tower: Tower, settings: Any) -> None:
    step = lost(tower, DONE, count=4)
    settings.TOOL_SERVERS = {"retail": "http://127.0.0.1:9/mcp"}

    assert sweep().looked_up == 0

    later = Step.objects.filter(pk=step.pk, not_before__gt=F("finished_at"))
    assert later.get().state == "confirmation_unknown"


@pytest.mark.unkeyed
def test_the_call_s_own_answer_closes_it_though_its_worker_was_given_up(tower: Tower) -> None:
    tower.start([[call(TOOL, 0, **address(0)), {"done": "moved"}]])
    _, [action] = claim_and_commit(RunCache(), "normal", limit=9, owner="stopped", lease_s=0)
    assert take_back_leases() == 1
    assert Run.objects.get().state == "confirmation_unknown"
    result = CallResult(Ending.ANSWERED, content="moved", meta={"effect_id": "e1"})

    for _ in range(2):
        commit(RunCache(), [Finished(action, result)], [], owner="stopped", lease_s=9, go_on=True)

    step = Step.objects.get()
    assert (step.disposition, step.result["content"]) == ("executed", "moved")
    receipt = Receipt.objects.get()
    assert (receipt.evidence, receipt.provider_ref) == ("answer", "e1")
    assert Run.objects.get().state == "succeeded"
    assert Finding.objects.get().word == Looked.LATE


@pytest.mark.unkeyed
def test_a_late_answer_changes_nothing_once_a_person_has_spoken(
    tower: Tower, operator: User
) -> None:
    tower.start([[call(TOOL, 0, **address(0)), {"done": "moved"}]])
    _, [action] = claim_and_commit(RunCache(), "normal", limit=9, owner="stopped", lease_s=0)
    take_back_leases()
    say(Step.objects.get(), FindingVerdict.GIVE_UP, operator)

    result = CallResult(Ending.ANSWERED, content="moved")
    commit(RunCache(), [Finished(action, result)], [], owner="stopped", lease_s=9, go_on=True)

    assert Step.objects.get().disposition == "failed"
    assert not Receipt.objects.exists()
