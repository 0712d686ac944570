"""The gate on a real database: what nobody knows is asked of a person, and each answer counts for
the question that it was given to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.gate import GateDecision, GateRequest, gate_batch
from apps.oversight.models import Approval
from apps.policy.models import Decision
from tests.factories.approvals import bound
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document, refund

pytestmark = pytest.mark.django_db
KNOWN = {"amount_cents": 1_000, "own": True}
People = dict[str, User]


@pytest.fixture
def toys() -> None:
    published("toys", text=document(), schema=SCHEMA)


class Step:
    """A step that comes to the gate, perhaps several times."""

    def __init__(self) -> None:
        self.id, self.run_id = new_id(), new_id()
        self.bound_to: dict[str, Any] = {}  # beside the usual

    def at_the_gate(
        self,
        *,
        approval_id: UUID | None = None,
        amount_cents: int | None = None,
        sentence: str = "Refund it",
        changes: Any = (),
        **asked: Any,
    ) -> GateDecision:
        ask = GateRequest(
            step_id=self.id,
            run_id=self.run_id,
            policy_slug="toys",
            request=refund(**asked),
            binding=lambda: {**bound(self.run_id), **self.bound_to},
            question=lambda: {
                "sentence": sentence,
                "preview": {"changes": list(changes), "refusal": None},
                "domain_slug": "toys",
                "agent_slug": "a",
                "amount_cents": amount_cents,
            },
            approval_id=approval_id,
        )
        with transaction.atomic():
            (answer,) = gate_batch([ask])
        return answer


def approve(approval_id: UUID | None, user: User) -> None:
    approval = Approval.objects.get(pk=approval_id)
    services.decide(
        approval_id=approval.pk,
        user=user,
        approve=True,
        reason="looked it up",
        digest=approval.digest,
        nonce=f"n-{approval.pk}",
        dwell_ms=4_000,
    )


def test_a_change_whose_facts_are_missing_is_asked_of_a_person(toys: None) -> None:
    held = Step().at_the_gate(facts={"own": True})

    approval = Approval.objects.get(pk=held.approval_id)
    assert held.answer == "hold"
    assert (approval.roles, approval.votes_required, approval.risk) == (["operator"], 1, 3)
    assert approval.rules[0]["id"] == "facts-unknown"
    assert approval.rules[0]["unknown"][0]["name"] == "amount_cents"
    assert approval.binding["unknown"][0]["came"] == "nothing"
    assert Decision.objects.get(pk=held.decision_id).answer == "hold"


def test_what_a_person_approved_without_facts_runs_once(toys: None, people: People) -> None:
    step = Step()
    held = step.at_the_gate(facts={"amount_cents": "1000001", "own": True})
    approve(held.approval_id, people["operator"])

    again = step.at_the_gate(
        facts={"amount_cents": "1000001", "own": True}, approval_id=held.approval_id
    )

    assert (again.answer, again.approval_id) == ("permit", held.approval_id)
    once_more = step.at_the_gate(
        facts={"amount_cents": "1000001", "own": True}, approval_id=held.approval_id
    )
    assert once_more.answer == "hold"


def test_an_approval_given_with_known_facts_is_none_for_unknown_ones(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    approve(held.approval_id, people["operator"])

    unknown = step.at_the_gate(facts={"own": True}, approval_id=held.approval_id)

    assert unknown.answer == "hold"
    assert unknown.approval_id != held.approval_id


@pytest.mark.parametrize(
    ("now", "answer"),
    [
        ({"facts": {"own": True, "amount_cents": 1_000}}, "permit"),
        ({"facts": {"own": True, "amount_cents": 9_000}}, "hold"),
        ({"facts": {"own": False, "amount_cents": 1_000}}, "deny"),
        ({"facts": {"own": True}, "preview_error": "timed out"}, "hold"),
        ({"facts": {"amount_cents": 1_000}}, "hold"),
    ],
)
def test_facts_that_became_known_are_judged_anew(
    toys: None, people: People, now: dict[str, Any], answer: str
) -> None:
    step = Step()
    held = step.at_the_gate(facts={"own": True})
    approve(held.approval_id, people["operator"])

    again = step.at_the_gate(**now, approval_id=held.approval_id)

    assert again.answer == answer
    assert Approval.objects.get(pk=held.approval_id).consumed_at is None


def test_an_approval_is_none_for_a_rule_that_it_was_not_asked_for(
    toys: None, people: People
) -> None:
    """The facts are looked at anew: small and unconfirmed then, above the limit by now."""
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    approve(held.approval_id, people["operator"])

    large = step.at_the_gate(
        facts={**KNOWN, "amount_cents": 9_000}, conversation={}, approval_id=held.approval_id
    )

    asked = Approval.objects.get(pk=large.approval_id)
    assert large.answer == "hold"
    assert [rule["id"] for rule in asked.rules] == ["large", "unconfirmed"]
    assert asked.votes_required == 2


def test_an_approval_is_none_for_another_amount(toys: None, people: People) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={}, amount_cents=1_000)
    approve(held.approval_id, people["operator"])

    more = step.at_the_gate(
        facts={**KNOWN, "amount_cents": 4_000},
        conversation={},
        amount_cents=4_000,
        approval_id=held.approval_id,
    )
    same = step.at_the_gate(
        facts=KNOWN, conversation={}, amount_cents=1_000, approval_id=held.approval_id
    )

    assert (more.answer, same.answer) == ("hold", "permit")


BALANCE = {"path": "/orders/7/balance", "before": "5", "after": "4"}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (
            {"amount_cents": 4_000},
            "the amount was $10.00 when it was approved, and is $40.00",
        ),
        ({"sentence": "Refund all of it"}, "what was approved read “Refund it”"),
        (
            {"changes": [{**BALANCE, "before": "9"}]},
            "what it would change is not what was shown",
        ),
        ({"changes": []}, "what it would change is not what was shown"),
    ],
)
def test_what_was_shown_is_what_is_so_or_people_are_asked_again_with_the_difference(
    toys: None, people: People, now: dict[str, Any], told: str
) -> None:
    step = Step()
    shown = {"amount_cents": 1_000, "sentence": "Refund it", "changes": [BALANCE]}
    held = step.at_the_gate(facts=KNOWN, conversation={}, **shown)
    approve(held.approval_id, people["operator"])

    again = step.at_the_gate(
        facts=KNOWN, conversation={}, approval_id=held.approval_id, **{**shown, **now}
    )

    asked = Approval.objects.get(pk=again.approval_id)
    assert (again.answer, asked.state) == ("hold", "pending")
    assert asked.rules[0]["id"] == "asked-again"
    assert told in asked.rules[0]["reason"]


def test_the_same_numbers_written_otherwise_are_what_was_shown(toys: None, people: People) -> None:
    step = Step()
    told = {"path": "/orders/7/balance", "before": 5, "after": 4.0}
    held = step.at_the_gate(facts=KNOWN, conversation={}, changes=[told])
    approve(held.approval_id, people["operator"])

    again = step.at_the_gate(
        facts=KNOWN,
        conversation={},
        approval_id=held.approval_id,
        changes=[{"after": 4, "before": 5.0, "path": "/orders/7/balance"}],
    )

    assert again.answer == "permit"


def test_an_answer_that_nobody_signed_is_asked_again_and_says_so(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    approve(held.approval_id, people["operator"])
    Approval.objects.filter(pk=held.approval_id).update(reason="somebody else's words")

    again = step.at_the_gate(facts=KNOWN, conversation={}, approval_id=held.approval_id)

    asked = Approval.objects.get(pk=again.approval_id)
    assert again.answer == "hold"
    assert "not what anybody had signed" in asked.rules[0]["reason"]


def test_a_preview_that_failed_in_another_way_is_the_same_question(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts={}, preview_error="no answer in 10 s")
    approve(held.approval_id, people["operator"])

    again = step.at_the_gate(facts={}, preview_error="503", approval_id=held.approval_id)

    assert again.answer == "permit"


def test_a_policy_may_let_a_tool_go_without_facts(people: People) -> None:
    text = document().replace("policies: |", "may_go_without_facts: {refund: Coins.}\npolicies: |")
    published("toys", text=text, schema=SCHEMA)

    answer = Step().at_the_gate(facts={})

    assert answer.answer == "permit"
    assert [rule["id"] for rule in answer.rules] == ["listed", "may-go-without-facts"]


def test_odd_facts_of_one_step_leave_the_others_of_the_batch_alone(toys: None) -> None:
    odd: list[Any] = [10**40, 1e18, float("nan"), {"$int": "5"}, [[1]], {"came": "x" * 9_999}]
    answers = [Step().at_the_gate(facts={**KNOWN, "amount_cents": value}) for value in odd]

    assert {a.answer for a in answers} == {"hold"}
    assert Step().at_the_gate(facts=KNOWN).answer == "permit"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"policy_digest": "q" * 64}, "since the policy changed"),
        ({"server": "https://elsewhere.example"}, "called at another address"),
        ({"live": ["Its description changed."]}, "otherwise than it was published (Its desc"),
    ],
)
def test_who_is_asked_again_reads_why(
    toys: None, people: People, changed: dict[str, Any], said: str
) -> None:
    step = Step()
    amount = {"own": True}  # how much nobody knows: a person is asked
    held = step.at_the_gate(facts=amount)
    approve(held.approval_id, people["operator"])
    step.bound_to = changed

    again = step.at_the_gate(facts=amount, approval_id=held.approval_id)

    assert again.answer == "hold"
    assert again.approval_id != held.approval_id
    rule = Approval.objects.get(pk=again.approval_id).rules[0]
    assert rule["id"] == "asked-again"
    assert said in rule["reason"]
    approve(again.approval_id, people["operator"])
    assert step.at_the_gate(facts=amount, approval_id=again.approval_id).answer == "permit"
