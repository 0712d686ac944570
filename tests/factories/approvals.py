"""Questions to people, as the gate would have asked them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import factory
from django.utils import timezone

from apps.accounts.models import User
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.domain.binding import binding, binding_digest
from apps.oversight.models import Approval, Reading
from apps.oversight.selectors import past

USUAL_LADDER = [{"at": 0.5, "to": "operators"}, {"at": 0.8, "to": "lead"}]
ARGUMENTS = {"reservation_id": "Q69X3R", "reason": "change of plan"}


def bound(
    run_id: UUID, arguments: dict[str, Any] | None = None, *, shop: str | None = None
) -> dict[str, Any]:
    """What an approval of this run's cancellation is bound to; unless it says in which shop, in one
    of its own, so that no two of them are about the same reservation."""
    return binding(
        tool="airline/cancel_reservation",
        tool_fingerprint="f" * 64,
        contract_digest="c" * 64,
        policy_digest="p" * 64,
        agent="airline-reference:reference",
        subject="sofia_kim_7287",
        arguments=ARGUMENTS if arguments is None else arguments,
        run_id=str(run_id),
        context={"shop": str(run_id) if shop is None else shop},
    )


# Questions of as many jobs: none of them stands for others in the list.
EACH_ITS_JOB = factory.Sequence(lambda n: f"job-{n}")


def same_again(**changes: Any) -> Approval:
    """One of several requests to cancel the very same reservation."""
    run_id = new_id()
    arguments = changes.get("arguments", ARGUMENTS)
    given = {"binding": bound(run_id, arguments, shop="main")}
    return ApprovalFactory.create(**{"run_id": run_id, **given, **changes})


class ApprovalFactory(factory.django.DjangoModelFactory[Approval]):
    class Meta:
        model = Approval

    id = factory.LazyFunction(new_id)
    run_id = factory.LazyFunction(new_id)
    step_id = factory.LazyFunction(new_id)
    decision_id = factory.LazyFunction(new_id)
    arguments = factory.LazyFunction(lambda: dict(ARGUMENTS))
    binding = factory.LazyAttribute(lambda o: bound(o.run_id, o.arguments))
    digest = factory.LazyAttribute(lambda o: binding_digest(o.binding))
    sentence = "Cancel reservation Q69X3R of Sofia Kim and refund $1,240.00"
    domain_slug = "airline"
    job_slug = "airline-cancel-reservation"
    contract_number = 3
    tool_name = "cancel_reservation"
    agent_slug = "airline-reference"
    agent_label = "reference"
    customer = "sofia_kim_7287"
    amount_cents = 124000
    risk = 2
    rules = factory.LazyFunction(
        lambda: [
            {
                "id": "not-confirmed",
                "reason": "The customer did not clearly say yes to this change",
                "observed": ["context.conversation.confirmed is false"],
            }
        ]
    )
    roles = factory.LazyFunction(lambda: ["operator"])
    preview = factory.LazyFunction(
        lambda: {
            "changes": [
                {
                    "path": "/reservations/Q69X3R/status",
                    "before": None,
                    "after": "cancelled",
                }
            ],
            "refusal": None,
        }
    )
    agent_text = "I have everything I need. Shall I cancel the reservation?"
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=4))


def has_read(approval: Approval, user: User, **changes: Any) -> Reading:
    """This person was given the sheet a minute ago and saw all of it, and looked at what was asked
    for the same."""
    since = timezone.now() - timedelta(minutes=1)
    times: dict[str, Any] = dict.fromkeys(
        ("opened_at", "arguments_at", "changes_at", "why_at"), since
    )
    times["looked"] = sorted(past.repeats_of(approval).marks)
    key = {"approval": approval, "user": user, "digest": approval.digest}
    return Reading.objects.update_or_create(**key, defaults={**times, **changes})[0]


def typed_to_confirm(approval: Approval) -> str:
    """What its approver has to type, where it is critical."""
    asked = services.challenge_of(approval)
    if asked is None:
        return ""
    return asked.text if asked.cents is None else f"{asked.cents / 100:.2f}"


def decide(approval: Approval, user: User, *, approve: bool = True, **changes: Any) -> Approval:
    """This person's answer, as a scripted reviewer's; with a ``page`` once they have read it."""
    if changes.get("page"):
        has_read(approval, user)
    given = {"reason": "looked the order up", "nonce": new_id().hex, "digest": approval.digest}
    return services.decide(
        approval_id=approval.pk, user=user, approve=approve, **{**given, **changes}
    )
