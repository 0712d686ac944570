"""A person edits a held call: what runs is what they wrote and others approved, nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from time import monotonic, sleep
from typing import Any

import pytest
from ruamel.yaml import YAML

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.canonical import canonical_bytes
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.oversight import services
from apps.oversight.models import Approval, Edit
from apps.policy.models import Decision
from apps.runs.engine import asking
from apps.runs.models import Message, Run, Step
from apps.runs.services import cancel_run
from tests.engine import shop
from tests.engine.conftest import Tower, _apply
from tests.engine.shop import call
from tests.engine.test_drain import RETURN, answer, drain, held, ledger
from tests.factories.accounts import UserFactory
from tests.factories.approvals import decide

TOOL = "return_delivered_order_items"
ELSEWHERE = {**RETURN, "payment_method_id": "gift"}
DENIED = {**RETURN, "payment_method_id": "nobody"}
GRAVE = {**RETURN, "payment_method_id": "bank"}
RULES = f"""
@id("nobody") @reason("Nothing goes to nobody") @purpose("Shows denying")
forbid(principal, action == Action::"{TOOL}", resource)
  when {{ context.arguments.contains("payment_method_id=nobody") }};

@id("bank") @require_approval("operator") @votes("2") @risk("4")
@reason("Transfers are looked at by two") @purpose("Shows a graver rule")
forbid(principal, action == Action::"{TOOL}", resource)
  when {{ context.arguments.contains("payment_method_id=bank") }}
  unless {{ context.approvals.contains("operator") }};
"""


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "POLICY", shop.POLICY + RULES)


@pytest.fixture
def editor(transactional_db: None) -> User:
    return UserFactory.create(role="operator", username="ana", first_name="Ana")


@pytest.fixture
def second(transactional_db: None) -> User:
    return UserFactory.create(role="operator", username="bo", first_name="Bo")


def edited(approval: Approval, user: User, **changes: Any) -> Edit:
    given = {
        "arguments": ELSEWHERE,
        "reason": "she has the card no more",
        "digest": approval.digest,
    }
    return services.edit(approval_id=approval.pk, user=user, **{**given, **changes})


def asked_now() -> Approval:
    return Approval.objects.get(state="pending")


def received(arguments: dict[str, Any]) -> str:
    """What the tool server notes of arguments that it received."""
    return sha256(canonical_bytes(arguments)).hexdigest()


def with_previews(tower: Tower) -> None:
    yaml = YAML()
    pack = tower.folder / "retail" / "pack.yaml"
    document = yaml.load(pack)
    next(t for t in document["tools"] if t["name"] == TOOL)["preview"] = "tower_preview"
    yaml.dump(document, pack)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, pack.parent).result()


def test_the_edited_call_is_what_the_tool_receives(tower: Tower, editor: User) -> None:
    """With a worker of its own, from the proposal to the call."""
    with_previews(tower)
    [run_id] = tower.start([[call(TOOL, 0, **RETURN), {"done": "x"}]])
    tower.worker()
    tower.wait([run_id], states={"waiting_approval"})
    approval, proposed = Approval.objects.get(), Step.objects.get().idempotency_key
    assert "gift" not in str(approval.preview)

    edited(approval, editor)
    tower.wait([run_id], states={"running", "queued", "waiting_approval"})
    _until_asked()

    again = asked_now()
    assert (again.arguments, again.votes_required) == (ELSEWHERE, 1)
    assert again.digest != approval.digest
    assert again.rules[0] == {
        "id": "edited",
        "reason": "Ana edited it: she has the card no more",
        "observed": [],
        "roles": ["operator"],
    }
    assert "gift" in str(again.preview), "the preview was asked about the edited call"
    assert ledger(tower, Run.objects.get()) == [], "nothing runs by an edit"

    decide(again, editor)
    tower.wait([run_id])

    step, run = Step.objects.get(), Run.objects.get()
    [entry] = ledger(tower, run)
    assert entry["args_digest"] == received(ELSEWHERE)
    assert entry["key"] == step.idempotency_key != proposed
    assert (step.disposition, step.arguments, step.attempts_made) == ("executed", ELSEWHERE, 1)
    edit = Edit.objects.get()
    assert (edit.before, edit.after, edit.by) == (RETURN, ELSEWHERE, editor)
    assert again.bound_to["edited"]["by"] == ["ana"]


def _until_asked() -> None:
    end = monotonic() + 60
    while not Approval.objects.filter(state="pending").exists() and monotonic() < end:
        sleep(0.05)


def test_the_agent_is_told_what_ran_and_why(tower: Tower, editor: User) -> None:
    edited(held(tower), editor)
    drain()
    decide(asked_now(), editor)
    drain()

    [told] = Message.objects.filter(role="tower").values_list("content", flat=True)
    assert told == (
        f"A person edited “{TOOL}” before it was decided. Changed: payment_method_id"
        ' is "gift" (you proposed "card"). Why: “she has the card no more”'
    )
    run = Run.objects.get()
    seen = asking._transcript(run.pk)
    assert next(e for e in seen if e["role"] == "tool")["arguments"] == ELSEWHERE
    assert told in [e.get("content") for e in seen]


def test_what_policy_denies_nobody_can_approve_and_it_can_be_edited_again(
    tower: Tower, editor: User, second: User
) -> None:
    edited(held(tower), editor, arguments=DENIED)
    drain()

    denied = asked_now()
    assert denied.bound_to["denied"] is True
    assert [r["id"] for r in denied.rules][:3] == ["edited-denied", "edited", "nobody"]
    assert Decision.objects.get(pk=denied.decision_id).answer == "deny"
    with pytest.raises(NotPermittedError, match="Policy denies this call as it was edited"):
        decide(denied, second)

    # Nor does it run if somebody writes the answer into the table.
    Approval.objects.filter(pk=denied.pk).update(state="approved", decided_by=second)
    assert services.edits_told([denied.step_id])
    Approval.objects.filter(pk=denied.pk).update(state="pending", decided_by=None)

    edited(denied, second, reason="back to the card")
    drain()
    mended = asked_now()
    assert "denied" not in mended.bound_to
    assert mended.bound_to["edited"]["number"] == 2
    decide(mended, second)
    drain()
    [entry] = ledger(tower, Run.objects.get())
    assert entry["args_digest"] == received(ELSEWHERE)
    assert list(Edit.objects.values_list("number", "by__username")) == [(1, "ana"), (2, "bo")]


def test_a_graver_call_says_so_and_its_editor_is_none_of_its_approvers(
    tower: Tower, editor: User, second: User
) -> None:
    approval = held(tower)
    assert (approval.risk, approval.votes_required) == (2, 1)

    edited(approval, editor, arguments=GRAVE)
    drain()

    grave = asked_now()
    assert (grave.risk, grave.votes_required) == (4, 2)
    assert {"edited", "bank"} <= {r["id"] for r in grave.rules}
    with pytest.raises(NotPermittedError, match="you edited it, and it is critical"):
        decide(grave, editor)
    assert decide(grave, second).state == "pending"
    third = UserFactory.create(role="operator")
    assert decide(grave, third).state == "approved"


def test_what_was_given_to_the_unedited_call_counts_no_more(
    tower: Tower, editor: User, second: User
) -> None:
    approval = held(tower)
    edited(approval, editor)

    with pytest.raises(ConflictError, match="Ana edited it meanwhile") as refused:
        decide(approval, second)
    assert refused.value.code == "edited"

    drain()
    assert asked_now().pk != approval.pk
    assert Approval.objects.get(pk=approval.pk).state == "void"
    assert ledger(tower, Run.objects.get()) == []


def test_of_two_who_edit_at_once_one_is_told_who_was_first(
    tower: Tower, editor: User, second: User
) -> None:
    approval = held(tower)
    first = edited(approval, editor)

    with pytest.raises(ConflictError, match="Ana edited it meanwhile") as refused:
        edited(approval, second, arguments={**RETURN, "item_ids": ["blue"]})

    assert refused.value.detail["who"] == "Ana"
    assert Step.objects.get().arguments == ELSEWHERE
    assert edited(approval, editor) == first, "the same form again is the same edit"
    assert Edit.objects.count() == 1
    assert Event.objects.filter(kind="approval.edited").count() == 1


def test_an_edit_that_equals_what_was_done_is_answered_with_its_receipt(
    tower: Tower, editor: User
) -> None:
    approval = held(tower, call(TOOL, 1, **ELSEWHERE))
    answer(approval, approve=True)
    drain()
    second_call = asked_now()

    edited(second_call, editor, arguments=RETURN)
    drain()

    assert [s.disposition for s in Step.objects.order_by("seq")] == ["executed", "deduplicated"]
    assert len(ledger(tower, Run.objects.get())) == 1
    assert not Approval.objects.filter(state="pending").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arguments": {**RETURN, "item_ids": "red"}}, "item_ids: 'red' is not of type 'array'"),
        ({"arguments": {**RETURN, "order_id": 7}}, "order_id: 7 is not of type 'string'"),
        ({"arguments": RETURN}, "Nothing was changed"),
        ({"reason": " "}, "Say why you change it"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    tower: Tower, editor: User, changes: dict[str, Any], message: str
) -> None:
    approval = held(tower)

    with pytest.raises(InvalidInputError, match=message):
        edited(approval, editor, **changes)

    assert Approval.objects.get().state == "pending"
    assert Step.objects.get().arguments == RETURN
    assert not Edit.objects.exists()


def test_a_run_that_was_cancelled_takes_no_edit(tower: Tower, editor: User) -> None:
    approval = held(tower)
    cancel_run(approval.run_id, actor=editor.actor, reason="not wanted")

    with pytest.raises(ConflictError):
        edited(approval, editor)

    assert Step.objects.get().arguments == RETURN
