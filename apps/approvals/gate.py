"""The policy enforcement point: permit, hold or deny, for a whole batch in one transaction.

Policy is asked with the approvals that were really used up for exactly this action. A valid
approval is consumed in the same transaction that opens the intent it authorises, so it can't
serve twice; one that is void, expired or was given for other arguments counts as none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from apps.approvals import services
from apps.approvals.domain.binding import binding_digest
from apps.kernel.transactions import participant
from apps.policy import services as policy
from apps.policy.domain.request import Request


@dataclass(frozen=True, slots=True)
class Ask:
    """One step that wants to run. ``binding`` is what an approval would be bound to; ``question``
    what a person would be shown (columns of Approval)."""

    step_id: UUID
    run_id: UUID
    policy_slug: str
    request: Request
    binding: Mapping[str, Any]
    question: Mapping[str, Any]
    approval_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says. ``approval_id``: the one consumed (permit) or opened (hold)."""

    answer: str
    decision_id: UUID
    approval_id: UUID | None
    rules: Sequence[Mapping[str, Any]]
    errors: Sequence[str] = ()


@participant
def gate_batch(asks: Sequence[Ask]) -> list[Answer]:
    """Decide each ask; open an approval for each that is held. Answers stand in the same order."""
    given = _consume([a for a in asks if a.approval_id])
    decisions = policy.decide_batch(
        [
            policy.Ask(
                step_id=a.step_id,
                run_id=a.run_id,
                policy_slug=a.policy_slug,
                request=replace(a.request, approvals=frozenset(given.get(a.step_id, ()))),
            )
            for a in asks
        ]
    )
    held = [(a, d) for a, d in zip(asks, decisions, strict=True) if d.answer == "hold"]
    opened = dict(
        zip((a.step_id for a, _ in held), services.request_batch(_questions(held)), strict=True)
    )
    return [
        Answer(
            answer=d.answer,
            decision_id=d.id,
            approval_id=opened.get(a.step_id)
            or (a.approval_id if a.step_id in given and d.answer == "permit" else None),
            rules=d.rules,
            errors=d.errors,
        )
        for a, d in zip(asks, decisions, strict=True)
    ]


def _consume(asks: Sequence[Ask]) -> dict[UUID, Sequence[str]]:
    """Use up the approvals that still hold for exactly these actions: step → roles given."""
    pairs = [(a.approval_id, binding_digest(a.binding)) for a in asks if a.approval_id]
    consumed = services.consume_batch(pairs)
    return {a.step_id: consumed[a.approval_id] for a in asks if a.approval_id in consumed}


def _questions(held: Sequence[tuple[Ask, Any]]) -> list[services.Question]:
    return [
        services.Question(
            run_id=ask.run_id,
            step_id=ask.step_id,
            decision_id=decision.id,
            binding=ask.binding,
            risk=decision.risk,
            rules=decision.rules,
            roles=decision.roles,
            votes_required=max(decision.votes, 1),
            shown=ask.question,
        )
        for ask, decision in held
    ]
