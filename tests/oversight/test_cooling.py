"""What was rejected just before takes one person more: counted on the server, when people answer
and when the answer is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.kernel.errors import TowerError
from apps.kernel.ids import new_id
from apps.oversight import selectors, services
from apps.oversight.models import Approval, Edit, Vote
from apps.oversight.selectors import cooling
from apps.oversight.services import deciding
from tests.factories.accounts import UserFactory
from tests.factories.approvals import (
    ARGUMENTS,
    ApprovalFactory,
    bound,
    decide,
    has_read,
    same_again,
)

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def rejected(user: User, *, minutes: float = 12, **changes: Any) -> Approval:
    at = timezone.now() - timedelta(minutes=minutes)
    given = {"state": "rejected", "decided_by": user, "decided_at": at, "reason": "Not her trip"}
    return same_again(**{**given, **changes})


def asked_ago(minutes: float, **changes: Any) -> Approval:
    return same_again(created_at=timezone.now() - timedelta(minutes=minutes), **changes)


def use(approval: Approval) -> bool:
    with transaction.atomic():
        return services.consume(approval.pk, approval.digest)


def wanted(approval: Approval) -> int:
    found = selectors.one(approval.pk)
    assert found is not None
    return int(found.votes_wanted)  # type: ignore[attr-defined]


# --- counted when people answer -------------------------------------------------------------------


def test_after_a_rejection_one_person_alone_gets_nothing_through(people: People) -> None:
    rejected(people["operator2"])
    approval = same_again()

    assert decide(approval, people["operator"]).state == "pending"
    with pytest.raises(TowerError) as again:
        decide(approval, people["operator"])
    assert again.value.code == "voted"
    assert not use(approval)

    assert decide(approval, people["operator2"]).state == "approved"
    assert use(approval)


def test_it_is_one_more_than_contract_or_policy_want(people: People) -> None:
    rejected(people["operator2"])
    approval = same_again(votes_required=2)

    for name in ("operator", "operator2"):
        assert decide(approval, people[name]).state == "pending"
    assert decide(approval, UserFactory.create(role="operator")).state == "approved"


def test_after_the_time_one_person_is_enough_again(people: People, settings: Any) -> None:
    settings.COOL_DOWN_MINUTES = 10
    rejected(people["operator2"], minutes=12)
    assert decide(same_again(), people["operator"]).state == "approved"

    settings.COOL_DOWN_MINUTES = 15
    assert decide(same_again(), people["operator"]).state == "pending"


def test_who_waits_the_time_out_gains_nothing(people: People) -> None:
    """The time runs until the same is asked again, not until it is answered."""
    rejected(people["operator2"], minutes=90)
    approval = asked_ago(40)

    assert decide(approval, people["operator"]).state == "pending"


def test_all_that_waited_when_one_was_rejected_takes_two(people: People) -> None:
    """However many are asked before the first answer."""
    several = [asked_ago(180) for _ in range(3)]
    decide(several[0], people["operator2"], approve=False)

    for approval in several[1:]:
        assert decide(approval, people["operator"]).state == "pending"


def test_the_same_changes_by_other_words_are_the_same(people: People) -> None:
    rejected(people["operator2"])
    other_words = same_again(arguments={**ARGUMENTS, "reason": "no longer needed"})
    cut = same_again(arguments={"n": 1})
    Approval.objects.filter(pk=cut.pk).update(preview={**cut.preview, "notes": ["cut"]})

    assert wanted(other_words) == 2
    assert wanted(cut) == 1, "nobody knows what else it would change"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "approved"},
        {"state": "expired"},
        {"arguments": {**ARGUMENTS, "fee": 1}, "preview": {}},
        {"binding": bound(new_id(), shop="branch"), "preview": {}},
        {"binding": bound(new_id(), shop="branch")},
    ],
)
def test_what_is_another_request_or_was_not_rejected_counts_for_nothing(
    people: People, changes: dict[str, Any]
) -> None:
    rejected(people["operator2"], **changes)

    assert decide(same_again(), people["operator"]).state == "approved"


@pytest.mark.parametrize("odd", [[], "text", {}, 0, {"changes": "all"}])
def test_a_row_that_holds_something_odd_is_like_no_other(people: People, odd: Any) -> None:
    rejected(people["operator2"])
    approval = same_again()
    Approval.objects.update(preview=odd)

    assert list(cooling.rejected_lately([approval.pk])) == [approval.pk], "the call is the same"


def test_taking_an_approval_back_changes_nothing_of_it(people: People) -> None:
    rejected(people["operator2"])
    approval = same_again(undo_s=60)
    for name in ("operator", "operator2"):
        has_read(approval, people[name])
        decide(approval, people[name], page=services.PageAnswer())
    assert Approval.objects.get(pk=approval.pk).state == "granted"

    services.undo(approval_id=approval.pk, user=people["operator"])

    assert decide(approval, people["operator"]).state == "pending"


def test_who_edited_a_call_into_what_was_rejected_is_not_one_of_the_two(people: People) -> None:
    rejected(people["operator2"])
    step_id, editor = new_id(), people["operator"]
    before = asked_ago(5, step_id=step_id, state="void", arguments={"n": 1})
    Edit.objects.create(
        approval=before,
        run_id=before.run_id,
        step_id=step_id,
        number=1,
        by=editor,
        at=timezone.now() - timedelta(minutes=1),
        reason="as she asked",
        before={"n": 1},
        after=dict(ARGUMENTS),
    )
    approval = same_again(step_id=step_id)

    with pytest.raises(TowerError, match="edited it, and it needs more than one person"):
        decide(approval, editor)


# --- counted when the answer is used --------------------------------------------------------------


def test_an_answer_of_one_person_is_not_used_whoever_took_it(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site of an earlier release counts votes without looking at what was rejected."""
    rejected(people["operator2"])
    approval = same_again()
    monkeypatch.setattr(deciding, "votes_wanted_of", lambda asked: asked.votes_required)
    assert decide(approval, people["operator"]).state == "approved"

    assert not use(approval)


def test_a_rejection_after_the_answer_takes_nothing_back(people: People) -> None:
    approval, twin = same_again(), same_again()
    assert decide(approval, people["operator"]).state == "approved"
    decide(twin, people["operator2"], approve=False)

    assert use(approval)


@pytest.mark.django_db(transaction=True)
def test_who_approves_while_another_rejects_the_same_is_first_or_not_enough() -> None:
    users = UserFactory.create_batch(2)
    seen = set()
    for _ in range(12):
        pair = [same_again(arguments={"reservation_id": new_id().hex}) for _ in users]
        barrier = threading.Barrier(2)

        def call(
            approval: Approval, user: User, yes: bool, barrier: threading.Barrier = barrier
        ) -> Approval:
            close_old_connections()
            barrier.wait()
            try:
                return decide(approval, user, approve=yes)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            approved, refused = pool.map(call, pair, users, (True, False))

        assert refused.state == "rejected"
        first = approved.decided_at and approved.decided_at < (refused.decided_at or timezone.now())
        assert approved.state == ("approved" if first else "pending")
        assert use(approved) is bool(first)
        seen.add(approved.state)
    assert seen <= {"approved", "pending"}


# --- said on the pages ----------------------------------------------------------------------------


def test_the_sheet_and_the_queue_say_who_rejected_it_when_and_why(
    client_as: ClientAs, people: People
) -> None:
    hostile = "<img src=x onerror=alert(1)> not her trip"
    rejected(people["operator2"], reason=hostile)
    approval, other = same_again(), ApprovalFactory.create(arguments={"n": 1}, preview={})
    client = client_as("operator")

    sheet = text(client.get(f"/approvals/{approval.pk}/"))
    row = text(client.get("/approvals/", headers=HTMX))

    name = people["operator2"].display_name
    told = sheet.partition('id="rejected-before"')[2].partition("</div>")[0]
    assert "Rejected <time" in told
    assert "12 min ago" in told
    assert f"by {name}: takes 2 people" in told
    assert "The same was rejected once: look" in told
    assert sheet.count('id="same-before"') == 1
    assert "not her trip" in told
    assert "<img" not in sheet + row
    assert sheet.index('id="rejected-before"') < sheet.index('id="panel-title"')
    assert "0 of 2 votes" in sheet
    assert row.count("called rejected") == 1
    assert "not her trip" in row
    assert ">0/2<" in row
    assert ">0/1<" in row
    assert "rejected-before" not in text(client.get(f"/approvals/{other.pk}/"))


def test_a_vote_that_is_not_enough_says_that_another_is_needed(
    client_as: ClientAs, people: People
) -> None:
    rejected(people["operator2"])
    approval = same_again()
    has_read(approval, people["operator"])
    given = {"answer": "approve", "reason": "Fare rules allow it", "digest": approval.digest}

    page = text(
        client_as("operator").post(
            f"/approvals/{approval.pk}/decide/", {**given, "nonce": new_id().hex}, headers=HTMX
        )
    )

    assert "Your vote counts: 1 of 2. Another person has to agree." in page
    assert Vote.objects.count() == 1


def test_however_many_were_decided_it_goes_by_indexes(people: People) -> None:
    others = {"state": "rejected", "decided_by": people["operator2"]}
    at = timezone.now()
    Approval.objects.bulk_create(
        ApprovalFactory.build(
            **others, arguments={"n": n}, preview={"changes": [n]}, decided_at=at, created_at=at
        )
        for n in range(2_000)
    )
    rejected(people["operator2"])
    ids = [same_again().pk for _ in range(10)]
    assert set(cooling.rejected_lately(ids)) == set(ids)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE approvals_approval")
        cursor.execute(f"EXPLAIN {cooling._REJECTED}", [3600.0, 3600.0, ids])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "using approvals_rejected_call" in plan, plan
    assert "using approvals_rejected_changes" in plan, plan
