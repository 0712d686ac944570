"""An approval from a page can be taken back for as long as its contract says, and no longer."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, NotPermittedError
from apps.oversight import selectors, services
from apps.oversight.models import Approval, Reversal, Vote
from apps.oversight.services import PageAnswer, proving
from tests.factories.approvals import ApprovalFactory, decide, has_read
from tests.factories.runs import RunFactory, StepFactory

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def approve(approval: Approval, user: User, **changes: Any) -> Approval:
    return decide(approval, user, **{"page": PageAnswer(), **changes})


def kinds(approval: Approval) -> list[str]:
    events = Event.objects.filter(subject_id=str(approval.pk)).order_by("id")
    return list(events.values_list("kind", flat=True))


def time_passes(approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(
        not_before=timezone.now() - timedelta(milliseconds=1)
    )


def test_nothing_is_used_before_its_time_and_then_it_counts(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)

    granted = approve(approval, people["operator"])

    assert granted.state == "granted"
    assert granted.not_before is not None
    assert granted.decided_at is not None
    assert granted.not_before - granted.decided_at == timedelta(seconds=10)
    assert services.release_due() == 0
    with transaction.atomic():
        assert services.consume_batch([(approval.pk, approval.digest)]) == {}
    assert selectors.decided_among([approval.pk]) == [], "a sweep that begins wakes nobody"
    assert kinds(approval) == ["approval.granted"]

    time_passes(approval)
    assert services.release_due() == 1
    released = Approval.objects.get()
    assert released.state == "approved"
    assert services.is_signed(released)
    assert released.expires_at > timezone.now() + timedelta(minutes=14)
    with transaction.atomic():
        used = services.consume_batch([(approval.pk, approval.digest)])
    assert used == {approval.pk: ["operator"]}
    assert kinds(approval) == ["approval.granted", "approval.approved", "approval.consumed"]
    event = Event.objects.get(kind="approval.approved")
    assert event.actor == people["operator"].actor.text


@pytest.mark.parametrize("changes", [{"undo_s": 0}, {}])
def test_without_a_window_or_a_page_it_counts_at_once(
    people: People, changes: dict[str, Any]
) -> None:
    approval = ApprovalFactory.create(**{"undo_s": 10, **changes})

    page = PageAnswer() if changes else None
    assert approve(approval, people["operator"], page=page).state == "approved"
    assert kinds(approval) == ["approval.approved"]


def test_a_rejection_stands_at_once(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    assert approve(approval, people["operator"], approve=False).state == "rejected"


def test_taken_back_it_is_a_question_again_with_the_answer_kept(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10, votes_required=2)
    approve(approval, people["operator"])
    granted = approve(approval, people["operator2"])
    votes = list(Vote.objects.order_by("at").values_list("signature", flat=True))

    services.undo(approval_id=approval.pk, user=people["operator"])

    again = Approval.objects.get()
    assert (again.state, again.decided_by, again.signature) == ("pending", None, "")
    assert (again.not_before, again.reason) == (None, "")
    assert again.expires_at == approval.expires_at
    assert not Vote.objects.exists()
    kept = Reversal.objects.get()
    assert (kept.by, kept.decided_by) == (people["operator"], people["operator2"])
    assert (kept.signature, kept.decided_at) == (granted.signature, granted.decided_at)
    assert [vote["signature"] for vote in kept.votes] == votes
    assert kinds(approval)[-1] == "approval.undone"
    time_passes(approval)
    assert services.release_due() == 0
    for name in ("operator", "operator2"):
        approve(again, people[name])
    assert Approval.objects.get().state == "granted", "they can approve it anew"


def test_the_form_that_was_taken_back_gives_no_answer_when_it_comes_again(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"], nonce="sent-twice")
    services.undo(approval_id=approval.pk, user=people["operator"])

    with pytest.raises(ConflictError, match="taken back"):
        approve(approval, people["operator"], nonce="sent-twice")

    assert Approval.objects.get().state == "pending"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("granted", "too late"),
        ("approved", "too late"),
        ("pending", "it still waits"),
        ("rejected", "it was rejected"),
        ("void", "it was void"),
    ],
)
def test_too_late_or_nothing_to_take_back(people: People, state: str, words: str) -> None:
    approval = ApprovalFactory.create(
        state=state, not_before=timezone.now() - timedelta(seconds=1), undo_s=10
    )

    with pytest.raises(ConflictError, match=words):
        services.undo(approval_id=approval.pk, user=people["operator"])

    assert Approval.objects.get().state == state
    assert not Reversal.objects.exists()


@pytest.mark.parametrize("role", ["auditor", "product_manager", "admin"])
def test_only_who_may_decide_takes_back(people: People, client_as: ClientAs, role: str) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"])

    with pytest.raises(NotPermittedError):
        services.undo(approval_id=approval.pk, user=people[role])

    assert client_as(role).post(f"/approvals/{approval.pk}/undo/").status_code == 403
    assert 'id="undo"' not in text(client_as(role).get(f"/approvals/{approval.pk}/"))
    assert Approval.objects.get().state == "granted"


def test_who_decides_meanwhile_hears_that_it_was_approved(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"])

    with pytest.raises(ConflictError, match="This was approved meanwhile"):
        approve(approval, people["operator2"], approve=False)


def test_a_run_that_ends_takes_it_back_for_good(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"])

    with transaction.atomic():
        assert services.void_for_run(approval.run_id) == 1

    time_passes(approval)
    assert services.release_due() == 0
    assert Approval.objects.get().state == "void"


def test_an_answer_that_was_changed_in_its_window_is_refused_when_used(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"])
    Approval.objects.update(reason="I never looked.")
    time_passes(approval)
    services.release_due()

    with transaction.atomic():
        assert services.consume_batch([(approval.pk, approval.digest)]) == {}

    assert Approval.objects.get().signature_refused_at is not None


def test_a_restore_takes_it_back_too_and_its_signature_is_looked_at(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    approve(approval, people["operator"])
    assert proving.waiting_answers() == (1, [])
    Approval.objects.update(reason="I never looked.")
    _, [(forged, why)] = proving.waiting_answers()
    assert (forged.pk, why) == (approval.pk, "The signature does not fit the answer.")

    assert services.void_after_restore() == 1

    time_passes(approval)
    assert services.release_due() == 0, "it may have been used after the backup was made"
    assert Approval.objects.get().state == "void"
    assert selectors.decided_among([approval.pk]) == [approval.pk], "its step asks anew"


def test_the_database_refuses_a_window_without_an_end() -> None:
    approval = ApprovalFactory.create()
    with connection.cursor() as cursor, pytest.raises(Exception, match="granted_until"):
        cursor.execute(
            "UPDATE approvals_approval SET state = 'granted' WHERE id = %s", [approval.pk]
        )


def test_the_page_counts_down_takes_back_and_says_what_was(
    client_as: ClientAs, people: People
) -> None:
    approval = ApprovalFactory.create(undo_s=10)
    has_read(approval, people["operator"])
    client, path = client_as("operator"), f"/approvals/{approval.pk}/"
    given = {"answer": "approve", "reason": "A slip", "digest": approval.digest}
    response = client.post(f"{path}decide/", {**given, "nonce": "n" * 10}, headers=HTMX)

    page = text(response)
    assert f'"undo": "{path}undo/"' in response["HX-Trigger"]
    assert "Nothing is carried out yet" in page
    assert seconds_left(page) in {9, 10}
    assert 'id="undo"' in page
    assert "the signature fits this answer and each vote" in page
    assert 'id="undo"' in text(client.get(f"{path}after/"))

    taken = client.post(f"{path}undo/", headers=HTMX)

    assert "operator took an approval back" in text(taken)
    assert "“A slip”" in text(taken)
    assert "approval:undone" in taken["HX-Trigger"]
    assert Approval.objects.get().state == "pending"
    late = client.post(f"{path}undo/", headers=HTMX)
    assert late.status_code == 409
    assert "There is nothing to take back: it still waits." in text(late)


def seconds_left(page: str) -> int:
    found = re.search(r"data-left>(\d+) s</time>", page)
    assert found
    return int(found[1])


def test_both_pages_say_how_long_it_can_be_taken_back_and_when_it_cannot(
    client_as: ClientAs, people: People
) -> None:
    run = RunFactory.create()
    step = StepFactory.create(run=run, kind="tool", state="waiting_approval")
    approval = ApprovalFactory.create(undo_s=600, run_id=run.pk, step_id=step.pk)
    approve(approval, people["operator"])
    client, paths = client_as("operator"), (f"/approvals/{approval.pk}/", f"/runs/{run.pk}/")
    Approval.objects.update(not_before=timezone.now() + timedelta(seconds=100))

    for path in paths:
        assert 90 <= seconds_left(text(client.get(path))) <= 100, "not what the contract said"

    time_passes(approval)
    for path in paths:
        page = text(client.get(path))
        assert "it counts with the next round of the sweep" in page
        assert "data-left" not in page
        assert 'id="undo"' not in page, "it would be refused"


def test_reasons_of_the_contract_are_buttons_and_nothing_else_of_it(client_as: ClientAs) -> None:
    odd = {"approve": ["Fee <b>waived</b>", 7], "reject": "no list", "other": ["x"]}
    approval = ApprovalFactory.create(reasons=odd)

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert page.count("data-reason=") == 1
    assert 'data-reason="Fee &lt;b&gt;waived&lt;/b&gt;" data-for="approve"' in page
