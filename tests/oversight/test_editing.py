"""The gate and the sheet about a call that a person edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.kernel.errors import ConflictError, NotPermittedError
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.models import Approval, Edit
from tests.factories.approvals import ARGUMENTS, ApprovalFactory, bound
from tests.oversight.test_gate import KNOWN, Step, approve
from tests.oversight.test_gate import toys as toys  # a fixture of its name

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
AFTER = {**ARGUMENTS, "reason": "illness"}


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def edit_of(approval: Approval, by: User, number: int = 1, **changes: Any) -> Edit:
    """As ``services.edit`` keeps one."""
    edit = Edit.objects.create(
        approval=approval,
        run_id=approval.run_id,
        step_id=approval.step_id,
        number=number,
        by=by,
        **{"reason": "as she wrote", "before": ARGUMENTS, "after": AFTER, **changes},
    )
    Approval.objects.filter(pk=approval.pk).update(state="void")
    return edit


def test_an_edited_call_is_put_to_a_person_though_policy_permits_it(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    edit_of(Approval.objects.get(pk=held.approval_id), people["operator"])

    again = step.at_the_gate(facts=KNOWN, approval_id=held.approval_id)

    asked = Approval.objects.get(pk=again.approval_id)
    assert again.answer == "hold"
    assert asked.risk == 2
    assert [(r["id"], r["reason"]) for r in asked.rules] == [
        ("edited", "operator edited it: as she wrote"),
        ("listed", ""),  # what permits it
    ], "that it was edited is said once"

    approve(asked.pk, people["operator"])
    done = step.at_the_gate(facts=KNOWN, approval_id=asked.pk)
    assert (done.answer, done.approval_id) == ("permit", asked.pk)


def test_what_an_edited_call_changes_is_what_was_shown_though_policy_permits_it(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    edit_of(Approval.objects.get(pk=held.approval_id), people["operator"])
    again = step.at_the_gate(facts=KNOWN, amount_cents=900, approval_id=held.approval_id)
    approve(again.approval_id, people["operator"])

    more = step.at_the_gate(facts=KNOWN, amount_cents=1_000, approval_id=again.approval_id)

    assert more.answer == "hold"
    said = [r["reason"] for r in Approval.objects.get(pk=more.approval_id).rules]
    assert "the amount was $9.00 when it was approved, and is $10.00" in " ".join(said)
    approve(more.approval_id, people["operator"])
    done = step.at_the_gate(facts=KNOWN, amount_cents=1_000, approval_id=more.approval_id)
    assert done.answer == "permit"


def test_what_nobody_knows_of_an_edited_call_is_asked_too(toys: None, people: People) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    edit_of(Approval.objects.get(pk=held.approval_id), people["operator"])

    again = step.at_the_gate(facts={"own": True}, approval_id=held.approval_id)

    asked = Approval.objects.get(pk=again.approval_id)
    assert {"edited", "facts-unknown"} <= {r["id"] for r in asked.rules}
    assert asked.bound_to["unknown"]


def test_an_answer_that_was_given_before_policy_denied_it_serves_for_nothing(
    toys: None, people: People
) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})
    edit_of(Approval.objects.get(pk=held.approval_id), people["operator"])
    again = step.at_the_gate(facts=KNOWN, approval_id=held.approval_id)
    approve(again.approval_id, people["operator"])

    denied = step.at_the_gate(facts={**KNOWN, "own": False}, approval_id=again.approval_id)

    asked = Approval.objects.get(pk=denied.approval_id)
    assert denied.answer == "hold"
    assert asked.bound_to["denied"] is True
    assert Approval.objects.get(pk=again.approval_id).consumed_at is None
    with pytest.raises(NotPermittedError, match="Policy denies this call"):
        approve(asked.pk, people["operator2"])
    # Whoever writes the answer past that is refused by the gate as well.
    Approval.objects.filter(pk=asked.pk).update(state="approved")
    forced = step.at_the_gate(facts={**KNOWN, "own": False}, approval_id=asked.pk)
    assert forced.answer == "hold"


def test_a_denial_of_a_call_that_nobody_edited_is_one(toys: None, people: People) -> None:
    step = Step()
    held = step.at_the_gate(facts=KNOWN, conversation={})

    assert (
        step.at_the_gate(facts={**KNOWN, "own": False}, approval_id=held.approval_id).answer
        == "deny"
    )


def test_an_edit_stays_and_ends_one_question(people: People) -> None:
    approval = ApprovalFactory.create()
    edit = edit_of(approval, people["operator"])

    with pytest.raises(IntegrityError), transaction.atomic():
        edit_of(approval, people["operator2"], number=2)
    with pytest.raises(TypeError):
        edit.save()
    for statement in ("UPDATE approvals_edit SET reason = 'x'", "DELETE FROM approvals_edit"):
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("changes", "may"),
    [({"risk": 3}, True), ({"risk": 4}, False), ({"risk": 2, "votes_required": 2}, False)],
)
def test_who_edited_it_may_approve_it_alone_only_where_one_vote_is_enough(
    people: People, changes: dict[str, Any], may: bool
) -> None:
    approval = ApprovalFactory.create()
    edit_of(approval, people["operator"])
    again = ApprovalFactory.create(
        run_id=approval.run_id, step_id=approval.step_id, arguments=AFTER, **changes
    )
    said = {
        "approval_id": again.pk,
        "approve": True,
        "reason": "looked the booking up",
        "digest": again.digest,
        "nonce": "n-12345678",
    }

    if may:
        assert services.decide(user=people["operator"], **said).state == "approved"
    else:
        with pytest.raises(NotPermittedError, match="you edited it"):
            services.decide(user=people["operator"], **said)
        assert services.decide(user=people["operator2"], **said).state in {"approved", "pending"}


@pytest.mark.parametrize(("risk", "counts"), [(3, True), (4, False)])
def test_a_vote_that_a_site_of_before_edits_took_counts_only_where_the_editor_may(
    people: People, monkeypatch: pytest.MonkeyPatch, risk: int, counts: bool
) -> None:
    approval = ApprovalFactory.create()
    edit_of(approval, people["operator"])
    again = ApprovalFactory.create(
        run_id=approval.run_id, step_id=approval.step_id, arguments=AFTER, risk=risk
    )
    with monkeypatch.context() as before_edits:
        knows_nobody = "apps.oversight.services.deciding.parties_for"
        before_edits.setattr(knows_nobody, lambda *_: {})
        approve(again.pk, people["operator"])

    assert Approval.objects.get(pk=again.pk).state == "approved"
    with transaction.atomic():
        assert services.consume(again.pk, again.digest) == counts


def test_one_that_was_approved_is_taken_back_first(people: People) -> None:
    approval = ApprovalFactory.create(state="granted", not_before="2100-01-01T00:00Z")

    with pytest.raises(ConflictError, match="This was approved meanwhile"):
        services.edit(
            approval_id=approval.pk,
            user=people["operator"],
            arguments=AFTER,
            reason="as she wrote",
            digest=approval.digest,
        )


def test_the_sheet_shows_who_changed_what_and_what_is_asked_now(
    client_as: ClientAs, people: People
) -> None:
    approval = ApprovalFactory.create()
    assert f'href="/approvals/{approval.pk}/edit/"' in text(
        client_as("operator").get(f"/approvals/{approval.pk}/")
    )
    edit_of(approval, people["operator2"])

    ended = text(client_as("operator").get(f"/approvals/{approval.pk}/"))
    assert "operator2 edited this call" in ended
    assert "Policy and the preview are asked about the edited call" in ended
    assert "/edit/" not in ended

    again = ApprovalFactory.create(
        run_id=approval.run_id, step_id=approval.step_id, arguments=AFTER
    )
    page = text(client_as("operator").get(f"/approvals/{again.pk}/"))
    assert "Edited by people: not what the agent proposed" in page
    assert '<del><span class="vh">before </span>&quot;change of plan&quot;</del>' in page
    assert '<span class="vh">after </span>&quot;illness&quot;</ins>' in page
    assert "“as she wrote”" in page

    after = f"/approvals/{approval.pk}/after/"
    polled = client_as("operator2").get(after, headers={"HX-Request": "true"})
    assert polled["HX-Redirect"] == f"/approvals/{again.pk}/"
    beside = client_as("operator").get(after, headers={"HX-Request": "true"})
    assert "HX-Redirect" not in beside, "nobody else is led away from what they type"
    assert "Open what is asked now" in text(beside)
    assert client_as("operator").get(f"/approvals/{approval.pk}/?edited=1").status_code == 302


def test_the_list_says_which_calls_people_edited(client_as: ClientAs) -> None:
    run_id = new_id()
    edited = {**bound(run_id, ARGUMENTS), "edited": {"number": 1, "by": ["ana"], "proposed": "x"}}
    ApprovalFactory.create(run_id=run_id, binding=edited)
    ApprovalFactory.create()

    assert text(client_as("operator").get("/approvals/")).count('small" >edited</span>') == 1


def test_what_policy_denies_is_not_offered_for_approval(client_as: ClientAs) -> None:
    binding = {**bound(new_id(), ARGUMENTS), "denied": True}
    denied = ApprovalFactory.create(binding=binding)

    page = text(client_as("operator").get(f"/approvals/{denied.pk}/"))

    assert "Policy denies this call as it was edited, so nobody can approve it." in page


def test_only_who_decides_edits(client_as: ClientAs, people: People) -> None:
    approval = ApprovalFactory.create()

    assert "/edit/" not in text(client_as("auditor").get(f"/approvals/{approval.pk}/"))
    with pytest.raises(NotPermittedError, match="Only operator may decide this"):
        services.edit(
            approval_id=approval.pk,
            user=people["auditor"],
            arguments=AFTER,
            reason="as she wrote",
            digest=approval.digest,
        )
