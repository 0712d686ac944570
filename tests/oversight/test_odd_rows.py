"""One odd row of the table is that row's trouble: the others of its batch are used, and its page
says what it can."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from django.db import connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.gate import GateRequest, gate_batch
from apps.oversight.models import Approval
from tests.factories.approvals import ApprovalFactory, bound
from tests.factories.policy import published
from tests.oversight.test_gate import Step, approve
from tests.policy.texts import SCHEMA, document, refund

pytestmark = pytest.mark.django_db
People = dict[str, User]
DEEP = "[" * 150 + "]" * 150
ODD = ("null", "[]", "[null]", '[["operator"]]', '"operators"', "5", "true", "{}", DEEP)


OTHERS = ("rules", "preview", "arguments", "facts", "ladder")
CASES = [*product(("binding", "roles"), ODD), *product(OTHERS, ("null", '"operators"', DEEP))]
each_case = pytest.mark.parametrize(
    ("column", "odd"), CASES, ids=[f"{column}-{odd[:12]}" for column, odd in CASES]
)


def put(approval: Approval, column: str, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE approvals_approval SET {column} = %s::jsonb WHERE id = %s",
            [text, approval.pk],
        )


@each_case
def test_the_others_of_the_batch_pass_the_gate(people: People, column: str, odd: str) -> None:
    published("toys", text=document(), schema=SCHEMA)
    steps = [Step(), Step()]
    held = [step.at_the_gate(facts={"own": True}) for step in steps]
    for answer in held:
        approve(answer.approval_id, people["operator"])
    put(Approval.objects.get(pk=held[0].approval_id), column, odd)

    with transaction.atomic():
        _, good = gate_batch(
            [
                GateRequest(
                    step_id=step.id,
                    run_id=step.run_id,
                    policy_slug="toys",
                    request=refund(facts={"own": True}),
                    binding=lambda step=step: bound(step.run_id),
                    question=lambda: {
                        "sentence": "Refund it",
                        "domain_slug": "toys",
                        "agent_slug": "a",
                        "preview": {"changes": [], "refusal": None},
                    },
                    approval_id=answer.approval_id,
                )
                for step, answer in zip(steps, held, strict=True)
            ]
        )

    assert good.answer == "permit"


@each_case
@pytest.mark.parametrize("is_answered", [False, True])
def test_its_pages_come_and_an_answer_is_taken_or_refused_in_words(
    people: People, client_as: Callable[[str], Client], column: str, odd: str, is_answered: bool
) -> None:
    approval = ApprovalFactory.create()
    if is_answered:
        approve(approval.pk, people["operator2"])
    put(approval, column, odd)
    client, page = client_as("operator"), f"/approvals/{approval.pk}/"
    given = {"answer": "reject", "reason": "no", "digest": approval.digest, "nonce": "n" * 10}

    for address in ("/approvals/", "/approvals/?tab=decided", page, f"{page}arguments.json", "/"):
        assert client.get(address).status_code == 200, address
    assert client.post(f"{page}claim/", {"reason": "mine"}).status_code < 500
    assert client.post(f"{page}escalate/", {"note": "look", "rung": 0}).status_code < 500
    assert client.post(f"{page}decide/", given).status_code < 500
    services.escalate_due()
