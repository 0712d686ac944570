"""What was asked before: found in whichever run, said on the sheet, and approved once more only by
whoever looked at it. Measured on the server, over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import InvalidInputError
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.models import Approval, Reading, Vote
from apps.oversight.selectors import past
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ARGUMENTS, ApprovalFactory, bound, has_read, same_again
from tests.factories.runs import RunFactory, StepFactory

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
MEANT = "I looked at it: it is meant once more"


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


def read_all(approval: Approval, user: User) -> None:
    """All of it, but nothing of what was asked before."""
    has_read(approval, user, looked=[])


def look(client: Client, approval: Approval, **changes: Any) -> Any:
    page = client.get(f"/approvals/{approval.pk}/").content.decode()
    told = re.findall(r'name="told"\s+value="([^"]*)"', page)
    given = {"digest": approval.digest, "told": told[0] if told else "", **changes}
    return client.post(f"/approvals/{approval.pk}/look-again/", given, headers=HTMX)


def decided(user: User, state: str = "approved", **changes: Any) -> Approval:
    given = {"state": state, "decided_by": user, "decided_at": timezone.now()}
    return same_again(**{**given, **changes})


# --- which are the same ---------------------------------------------------------------------------


def found_for(approval: Approval) -> set[Any]:
    return {row.pk for row in past.repeats_of(approval).rows}


def test_the_same_call_in_another_run_is_found_whatever_became_of_it(
    people: dict[str, User],
) -> None:
    mine, waits = same_again(), same_again()
    past_ones = [decided(people["operator"], state) for state in ("approved", "rejected")]
    for state in ("expired", "void"):
        same_again(state=state)

    assert found_for(mine) == {waits.pk, *(row.pk for row in past_ones)}


@pytest.mark.parametrize(
    "arguments",
    [
        {**ARGUMENTS, "reason": "another plan"},
        {**ARGUMENTS, "fee": None},
        {"reservation_id": "Q69X3R "},
        {"reservation_id": ["Q69X3R"], "reason": "change of plan"},
    ],
)
def test_other_arguments_are_another_request(arguments: dict[str, Any]) -> None:
    mine = same_again()
    same_again(arguments=arguments, preview={})

    assert found_for(mine) == set()


def test_the_order_of_arguments_and_how_numbers_are_written_make_no_difference() -> None:
    mine = same_again(arguments={"order_id": "#W1", "amount": 40})
    twin = same_again(arguments={"amount": 40, "order_id": "#W1"})

    assert found_for(mine) == {twin.pk}


def test_another_tool_or_another_shop_is_another_object() -> None:
    mine, run_id = same_again(), new_id()
    another_tool = bound(run_id, ARGUMENTS, shop="main") | {"tool": "airline/refund"}
    ApprovalFactory.create(run_id=run_id, binding=another_tool, preview={})
    ApprovalFactory.create(run_id=run_id, binding=bound(run_id, ARGUMENTS, shop="branch"))

    assert found_for(mine) == set()


def test_the_same_changes_by_other_words_are_the_same() -> None:
    mine = same_again()
    other_words = same_again(arguments={**ARGUMENTS, "reason": "no longer needed"})
    cut = same_again(arguments={"n": 1})
    Approval.objects.filter(pk=cut.pk).update(preview={**cut.preview, "notes": ["cut"]})
    run_id = new_id()
    ApprovalFactory.create(run_id=run_id, binding=bound(run_id, {"n": 2}, shop="branch"))
    same_again(arguments={"n": 3}, domain_slug="retail")

    assert found_for(mine) == {other_words.pk}


def test_earlier_questions_about_the_same_step_are_none(people: dict[str, User]) -> None:
    mine = same_again()
    decided(people["operator"], step_id=mine.step_id)

    assert found_for(mine) == set()


@pytest.mark.parametrize("binding", [[], "text", {}, {"tool": "a/b"}, {"arguments": {}}, None])
def test_a_row_that_holds_something_odd_is_like_no_other(client_as: ClientAs, binding: Any) -> None:
    rows = [ApprovalFactory.create() for _ in range(2)]
    odd = 0 if binding is None else binding
    Approval.objects.update(binding=odd, preview=odd, rules=odd)
    rows[0].refresh_from_db()

    assert found_for(rows[0]) == set()
    assert client_as("operator").get(f"/approvals/{rows[0].pk}/").status_code == 200


# --- the second look ------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", [1, 2, 3])
def test_the_way_through_the_page(client_as: ClientAs, people: dict[str, User], risk: int) -> None:
    before = decided(people["operator2"], reason="The fare allows it")
    approval = same_again(risk=risk)
    client = client_as("operator")
    page = text(client.get(f"/approvals/{approval.pk}/"))
    assert "The same was approved once" in page
    assert f"by {people['operator2'].display_name}" in page
    assert "The fare allows it" in page
    assert f"/approvals/{before.pk}/" in page
    assert f"/runs/{before.run_id}/" in page
    read_all(approval, people["operator"])

    refused = answer(client, approval)

    assert refused.status_code == 422
    assert "The same was approved once, and you have not said that it is meant" in text(refused)
    assert "Fare rules allow it" in text(refused), "what was typed is kept"
    assert MEANT in text(refused)
    assert not Vote.objects.exists()

    looked = text(look(client, approval))
    assert "and said that it is meant once more" in looked
    assert MEANT not in looked
    assert answer(client, approval).status_code == 200
    event = Event.objects.get(kind="approval.looked_again")
    assert event.actor == "user:operator"
    assert event.payload["same"] == [f"{before.pk}:approved"]


def test_a_rejection_needs_no_second_look(client_as: ClientAs, people: dict[str, User]) -> None:
    decided(people["operator2"])
    approval = same_again()
    read_all(approval, people["operator"])

    assert answer(client_as("operator"), approval, answer="reject").status_code == 200


def test_what_happened_since_has_to_be_looked_at_anew(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    waits, approval = same_again(), same_again()
    client = client_as("operator")
    read_all(approval, people["operator"])
    look(client, approval)
    read_all(waits, people["operator2"])
    look(client_as("operator2"), waits)
    assert answer(client_as("operator2"), waits).status_code == 200

    refused = answer(client, approval)

    assert refused.status_code == 422
    assert "The same was approved once" in text(refused)
    look(client, approval)
    assert answer(client, approval).status_code == 200


def test_nobody_has_looked_at_what_did_not_stand_so(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    waits, approval = same_again(), same_again()
    read_all(approval, people["operator"])
    client = client_as("operator")
    forged = f"{waits.pk}:approved,{waits.pk}:rejected,{new_id()}:pending"

    assert look(client, approval, told=forged).status_code == 200
    assert Reading.objects.get().looked == []
    assert answer(client, approval).status_code == 422
    assert not Event.objects.filter(kind="approval.looked_again").exists()


def test_one_persons_look_is_nobody_elses_and_needs_the_sheet(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    decided(people["operator2"])
    approval = same_again(votes_required=2)
    read_all(approval, people["operator"])
    look(client_as("operator"), approval)
    read_all(approval, people["operator2"])
    assert answer(client_as("operator2"), approval).status_code == 422

    Reading.objects.all().delete()
    told = ",".join(past.repeats_of(approval).marks)
    given = {"digest": approval.digest, "told": told}
    path = f"/approvals/{approval.pk}/look-again/"
    assert client_as("operator").post(path, given).status_code == 409
    assert client_as("auditor").post(path, given).status_code == 403


@pytest.mark.parametrize("told", ["", "<script>", "x" * 3000, "\x00", "a b"])
def test_marks_that_are_none_are_refused(
    client_as: ClientAs, people: dict[str, User], told: str
) -> None:
    approval = same_again()
    read_all(approval, people["operator"])

    assert look(client_as("operator"), approval, told=told).status_code == 422


def test_without_script_the_button_leads_back_to_the_sheet(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    decided(people["operator2"])
    approval = same_again()
    client = client_as("operator")
    client.get(f"/approvals/{approval.pk}/")
    given = {"digest": approval.digest, "told": ",".join(past.repeats_of(approval).marks)}

    response = client.post(f"/approvals/{approval.pk}/look-again/", given, follow=True)

    assert "said that it is meant once more" in text(response)


def test_a_scripted_reviewer_is_shown_nothing(people: dict[str, User]) -> None:
    decided(people["operator2"])
    approval = same_again()
    given = {"approval_id": approval.pk, "user": people["operator"], "approve": True}

    services.decide(**given, reason="rule 4", digest=approval.digest, nonce="scripted")

    assert Approval.objects.get(pk=approval.pk).state == "approved"


def test_many_are_told_as_far_as_a_page_holds_them(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    for n in range(past.MOST_REPEATS + 3):
        decided(people["operator2"], decided_at=timezone.now() - timedelta(hours=n))
    approval = same_again()
    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert "There are more; these are the latest 20." in page
    read_all(approval, people["operator"])
    client = client_as("operator")
    look(client, approval)
    assert answer(client, approval).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_who_approve_the_same_at_once_are_not_both_alone() -> None:
    """Both have looked at the other's request while it waited: the second hears of the first."""
    users = UserFactory.create_batch(2)
    for _ in range(6):
        pair = [same_again(arguments={"reservation_id": new_id().hex}) for _ in users]
        for approval, user in zip(pair, users, strict=True):
            has_read(approval, user)
        barrier = threading.Barrier(2)

        def call(approval: Approval, user: User, barrier: threading.Barrier = barrier) -> str:
            close_old_connections()
            barrier.wait()
            try:
                return services.decide(
                    approval_id=approval.pk,
                    user=user,
                    approve=True,
                    reason="The fare allows it",
                    digest=approval.digest,
                    nonce=new_id().hex,
                    page=services.PageAnswer(),
                ).state
            except InvalidInputError as error:
                return error.code
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(call, pair, users))

        assert said == ["approved", "same"]


# --- those most like it ---------------------------------------------------------------------------


def test_the_five_most_alike_are_told_with_reason_and_outcome(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    by = {"state": "rejected", "decided_by": people["operator2"], "decided_at": timezone.now()}
    rules = [{"id": "other", "reason": "Another rule"}]
    for n in range(6):
        ApprovalFactory.create(**by, rules=rules, arguments={"n": n})
    near = [
        ApprovalFactory.create(**by, arguments={"n": n}, amount_cents=cents, sentence=f"Near {n}")
        for n, cents in enumerate((124_100, 124_900, 120_000))
    ]
    run = RunFactory.create()
    step = StepFactory.create(run=run, seq=1, state="succeeded", disposition="executed")
    was_carried_out = {"run_id": run.pk, "step_id": step.pk, "reason": "Fare rule 7 allows it"}
    best = ApprovalFactory.create(**{**by, "state": "approved"}, **was_carried_out)
    approval = ApprovalFactory.create()

    found = [row.pk for row in past.similar_to(approval)]
    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert found[:4] == [best.pk, *(row.pk for row in near)]
    assert len(found) == 5
    told = page.partition('id="similar"')[2].partition("</section>")[0]
    assert "Fare rule 7 allows it" in told
    assert "Executed" in told


def test_one_that_was_undone_says_so(client_as: ClientAs, people: dict[str, User]) -> None:
    run = RunFactory.create()
    step = StepFactory.create(run=run, seq=1, state="succeeded", disposition="executed")
    StepFactory.create(run=run, seq=2, state="succeeded", compensates_id=step.pk)
    decided(people["operator2"], run_id=run.pk, step_id=step.pk)
    approval = same_again()

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert "Undone" in page.partition('id="same"')[2].partition("</section>")[0]


def test_what_is_told_as_the_same_is_not_told_as_similar_too(people: dict[str, User]) -> None:
    twin = decided(people["operator2"])
    approval = same_again()

    assert twin.pk in {row.pk for row in past.similar_to(approval)}
    assert not past.similar_to(approval, but=[twin.pk])


def test_an_old_decision_about_the_customer_is_found_behind_many_others(
    people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "LATEST", 3)
    by = {"state": "rejected", "decided_by": people["operator2"]}
    old = ApprovalFactory.create(**by, decided_at=timezone.now() - timedelta(days=400))
    for n in range(4):
        ApprovalFactory.create(
            **by, decided_at=timezone.now(), customer=f"customer_{n}", arguments={"n": n}
        )

    assert past.similar_to(ApprovalFactory.create())[0].pk == old.pk


def test_long_arguments_are_not_read_for_it(people: dict[str, User]) -> None:
    by = {"state": "rejected", "decided_by": people["operator2"], "decided_at": timezone.now()}
    noise = "".join(new_id().hex for _ in range(2_000))
    ApprovalFactory.create(**by, arguments={"note": noise})
    approval = ApprovalFactory.create()

    with CaptureQueriesContext(connection) as asked:
        found = past.similar_to(approval)

    assert len(found) == 1
    assert all("pg_column_size" in q["sql"] for q in asked if "short" in q["sql"])


def test_text_from_outside_is_shown_and_does_nothing(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202ecod"
    decided(people["operator2"], reason=hostile, sentence=hostile)
    page = text(client_as("operator").get(f"/approvals/{same_again().pk}/"))

    assert "<img" not in page
    assert "U+202E" in page


def test_however_many_were_decided_it_goes_by_indexes(people: dict[str, User]) -> None:
    by = {"state": "rejected", "decided_by": people["operator2"], "decided_at": timezone.now()}
    many = ApprovalFactory.build_batch(1_500, **by)
    for number, one in enumerate(many):
        one.customer, one.preview = f"customer_{number}", {"changes": [{"path": f"/{number}"}]}
    Approval.objects.bulk_create(many)
    approval = same_again()
    with CaptureQueriesContext(connection) as asked:
        past.repeats_of(approval)
        past.similar_to(approval)
    looks = [q["sql"] for q in asked if q["sql"].startswith("SELECT")]

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE approvals_approval")
        plans = [plan_of(cursor, sql) for sql in looks]

    assert all("Seq Scan on approvals_approval" not in plan for plan in plans)
    used = " ".join(plans)
    assert {"approvals_same_call", "approvals_same_changes"} <= set(used.split())
    assert "approvals_of_customer" in used


def plan_of(cursor: Any, sql: str) -> str:
    cursor.execute(f"EXPLAIN {sql}")
    return "\n".join(row[0] for row in cursor.fetchall())
