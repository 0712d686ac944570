"""What whoever decides is told of the run: what was read and said, and what is in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.oversight.models import Approval
from apps.runs.models import Breaker, Message, Stop
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import MessageFactory, RunFactory, StepFactory

As = Callable[[str], Client]
pytestmark = pytest.mark.django_db
ARGUMENTS = {"reservation_id": "Q69X3R", "payment": "card_77", "bags": 5}


def asked(**of_run: Any) -> Approval:
    run = RunFactory.create(**of_run)
    MessageFactory.create(run=run, seq=1, content="Cancel Q69X3R, my plans changed.")
    MessageFactory.create(run=run, seq=2, role="agent", content="With five bags.")
    StepFactory.create(
        run=run,
        seq=1,
        kind="tool",
        tool_name="get_reservation",
        effect="read",
        after_message=1,
        state="succeeded",
        result={"text": '{"id": "Q69X3R", "paid_with": "card_77"}'},
    )
    step = StepFactory.create(
        run=run, seq=2, kind="tool", after_message=2, state="waiting_approval", arguments=ARGUMENTS
    )
    MessageFactory.create(run=run, seq=3, content="Take 5 bags.")  # said afterwards
    return ApprovalFactory.create(run_id=run.pk, step_id=step.pk, arguments=ARGUMENTS)


def told(client: Client, approval: Approval) -> str:
    answer = client.get(f"/runs/held/{approval.pk}/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def source(page: str, name: str) -> str:
    return page.partition(f'<th scope="row">{name}</th>')[2].partition("</td>")[0]


def test_each_argument_says_where_it_was_seen(client_as: As) -> None:
    page = told(client_as("operator"), asked())

    assert "step 1, read by get_reservation" in source(page, "reservation_id")
    assert "customer, message 1" in source(page, "reservation_id")
    assert "read by get_reservation" in source(page, "payment")
    assert "nobody mentioned it" in source(page, "bags")
    assert "{&quot;id&quot;: &quot;Q69X3R&quot;" in page


def test_what_is_not_found_in_a_part_is_said_so(client_as: As) -> None:
    approval = asked()
    Message.objects.filter(run=approval.run_id, seq=1).update(content="x" * 300_000 + " 5 bags")

    assert "not in the part that was searched" in source(
        told(client_as("operator"), approval), "bags"
    )


def test_cost_and_time_so_far_are_told(client_as: As) -> None:
    page = told(client_as("operator"), asked(cost_microusd=31_200, steps_total=2))

    assert "2 steps" in page
    assert "cost $0.0312" in page
    assert "would wait" not in page


def test_a_paused_run_says_that_an_approval_would_wait(client_as: As) -> None:
    approval = asked(paused_at=timezone.now(), paused_by="user:ida", pause_reason="Looking at it")

    page = told(client_as("operator"), approval)

    assert "An approval would wait: the run is paused" in page.replace('<span class="isolate">', "")


@pytest.mark.parametrize("scope", ["tool", "agent", "everything"])
def test_a_stop_in_the_way_says_that_an_approval_would_wait(client_as: As, scope: str) -> None:
    approval = asked()
    targets = {
        "tool": f"{approval.domain_slug}/cancel_reservation",
        "agent": approval.agent_slug,
        "everything": "",
    }
    Stop.objects.create(scope=scope, target=targets[scope], reason="x", placed_by="user:ida")

    page = told(client_as("operator"), approval)

    assert 'id="would-wait"' in page
    assert "See the stops" in page


def test_an_open_breaker_says_that_an_approval_would_wait(client_as: As) -> None:
    approval = asked()
    tool = f"{approval.domain_slug}/cancel_reservation"
    Breaker.objects.create(tool_name=tool, host="h.example", state="open", manual=True)

    assert "See the breaker" in told(client_as("operator"), approval)


def test_an_approval_that_is_not_there_is_not_found(client_as: As) -> None:
    unknown = ApprovalFactory.build().pk

    assert client_as("operator").get(f"/runs/held/{unknown}/").status_code == 404
