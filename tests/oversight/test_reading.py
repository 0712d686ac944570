"""Nobody approves from a page what the page has not shown: measured on the server, over HTTP."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.ids import new_id
from apps.oversight.models import Approval, Reading, Vote
from tests.factories.approvals import ApprovalFactory, has_read

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
PARTS = ["arguments", "changes", "why"]


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def answer(client: Client, approval: Approval, **changes: Any) -> Any:
    given = {
        "answer": "approve",
        "reason": "Fare rules allow it",
        "digest": approval.digest,
        "nonce": new_id().hex,
    }
    return client.post(f"/approvals/{approval.pk}/decide/", {**given, **changes}, headers=HTMX)


def see(client: Client, approval: Approval, parts: list[str], **changes: Any) -> Any:
    given = {"digest": approval.digest, "parts": parts, **changes}
    path = f"/approvals/{approval.pk}/seen/"
    return client.post(path, given, headers={"Accept": "application/json"})


def opened_earlier(seconds: float) -> None:
    Reading.objects.update(opened_at=timezone.now() - timedelta(seconds=seconds))


def test_a_post_without_the_sheet_is_refused_with_what_to_do(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()

    response = answer(client_as("operator"), approval)

    assert response.status_code == 422
    assert "You have not opened this request" in text(response)
    assert "Fare rules allow it" in text(response), "what was typed is kept"
    assert not Vote.objects.exists()


def test_the_whole_way_through_the_page(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(risk=3)
    client = client_as("operator")
    client.get(f"/approvals/{approval.pk}/")

    assert "Not on your screen yet" in text(answer(client, approval))
    assert see(client, approval, ["arguments", "changes"]).json() == {
        "seen": ["arguments", "changes"]
    }
    assert "“Why it needs you”. Scroll there" in text(answer(client, approval))
    assert see(client, approval, ["why"]).json() == {"seen": PARTS}
    assert "it has to be read for 4 s" in text(answer(client, approval))
    opened_earlier(4)
    assert answer(client, approval).status_code == 200

    vote = Vote.objects.get()
    assert vote.shown_ms is not None
    assert 4000 <= vote.shown_ms < 60_000
    event = Event.objects.get(kind="approval.approved")
    assert event.payload["shown_ms"] == vote.shown_ms


def test_it_opens_beside_the_list_as_on_its_own_page(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()
    client_as("operator").get(f"/approvals/?open={approval.pk}")

    assert Reading.objects.get().digest == approval.digest


def test_the_first_time_counts_and_a_claim_shows_nothing(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")
    client.post(f"/approvals/{approval.pk}/claim/", headers=HTMX)
    assert not Reading.objects.exists()
    client.get(f"/approvals/{approval.pk}/")
    opened_earlier(100)
    first = Reading.objects.get().opened_at

    client.get(f"/approvals/{approval.pk}/")

    assert Reading.objects.get().opened_at == first


@pytest.mark.parametrize("name", ["operator2", "auditor"])
def test_what_one_person_read_is_nobody_elses(
    client_as: ClientAs, people: dict[str, User], name: str
) -> None:
    approval = ApprovalFactory.create()
    has_read(approval, people["operator"])
    other = client_as(name)

    assert see(other, approval, PARTS).status_code == (409 if name == "operator2" else 403)
    assert answer(other, approval).status_code == (422 if name == "operator2" else 403)


def test_what_was_read_of_another_digest_counts_for_nothing(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    approval = ApprovalFactory.create()
    has_read(approval, people["operator"])
    Approval.objects.update(digest="1" * 64)
    client = client_as("operator")

    assert see(client, approval, PARTS, digest="1" * 64).status_code == 409
    refused = answer(client, approval, digest="1" * 64)
    assert "You have not opened this request" in text(refused)


@pytest.mark.parametrize("parts", [[], ["all"], ["why", "everything"]])
def test_only_parts_that_there_are_can_be_seen(client_as: ClientAs, parts: list[str]) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")
    client.get(f"/approvals/{approval.pk}/")

    assert see(client, approval, parts).status_code == 422
    assert Reading.objects.get().why_at is None


def test_a_rejection_waits_for_nothing(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(risk=4)

    assert answer(client_as("operator"), approval, answer="reject").status_code == 200
    assert Approval.objects.get().state == "rejected"


def test_low_risk_is_answered_from_the_list(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(risk=1)

    assert answer(client_as("operator"), approval).status_code == 200


def test_without_script_a_button_says_what_was_read(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")
    page = text(client.get(f"/approvals/{approval.pk}/"))
    assert page.count('type="hidden" name="parts"') == 3

    given = {"digest": approval.digest, "parts": PARTS}
    response = client.post(f"/approvals/{approval.pk}/seen/", given)

    assert response["Location"] == f"/approvals/{approval.pk}/"
    opened_earlier(2)
    assert answer(client, approval).status_code == 200


@pytest.mark.parametrize("path", ["claim", "escalate"])
def test_without_script_a_claim_or_a_refused_call_leaves_a_sheet_that_works(
    client_as: ClientAs, path: str
) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")

    page = text(client.post(f"/approvals/{approval.pk}/{path}/"))

    assert page.count('type="hidden" name="parts"') == 3, "what the button says was read"
    assert Reading.objects.get().digest == approval.digest


@pytest.mark.parametrize("typed", ["", "1240.01", "0", "yes", "$1,240.000"])
def test_critical_is_confirmed_with_the_amount_on_the_server(
    client_as: ClientAs, people: dict[str, User], typed: str
) -> None:
    approval = ApprovalFactory.create(risk=4)
    has_read(approval, people["operator"])
    client = client_as("operator")

    refused = answer(client, approval, confirm=typed)

    assert refused.status_code == 422
    assert 'aria-invalid="true"' in text(refused)
    assert "the amount" in text(refused)
    assert Approval.objects.get().state == "pending"
    assert answer(client, approval, confirm="$1,240.00").status_code == 200


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_reason_that_says_nothing_is_refused_from_high_up(
    client_as: ClientAs, people: dict[str, User], word: str
) -> None:
    high, medium = ApprovalFactory.create(risk=3), ApprovalFactory.create(risk=2)
    for approval in (high, medium):
        has_read(approval, people["operator"])
    client = client_as("operator")

    refused = answer(client, high, answer=word, reason="x")

    assert refused.status_code == 422
    assert "say what you looked at" in text(refused)
    assert answer(client, medium, answer=word, reason="x").status_code == 200


def test_only_a_replays_reviewer_answers_without_a_page() -> None:
    root, without, through = Path(settings.BASE_DIR), set(), set()
    for path in (*root.glob("apps/**/*.py"), *root.glob("controltower/**/*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            names = {k.arg for k in call.keywords} if isinstance(call, ast.Call) else set()
            if {"approval_id", "approve", "nonce"} <= names:
                (through if "page" in names else without).add(path.relative_to(root).as_posix())

    assert through == {"apps/oversight/views/sheet.py"}
    assert without == {"controltower/practice/replay/running.py"}, "nothing that HTTP reaches"
