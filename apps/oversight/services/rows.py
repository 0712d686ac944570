"""The row of an approval: locked, timed by the database, and told to the audit log."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, Func, Q, QuerySet

from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import TOWER, Actor
from apps.kernel.errors import NotFoundError
from apps.kernel.transactions import participant
from apps.oversight.domain import ladder
from apps.oversight.domain.ladder import Rung
from apps.oversight.domain.signed import SHOWN, SignedQuestion
from apps.oversight.models import Approval, Delegation

State = Approval.State
OPEN = (State.PENDING, State.GRANTED)  # of which a step has one at a time
# Approved, and nobody has acted on it yet: in its time to be taken back, or ready to be used.
UNUSED = Q(state=State.GRANTED) | Q(state=State.APPROVED, consumed_at=None)
LIVE = Q(state=State.PENDING) | UNUSED


class ClockTimestamp(Func):
    """The database's clock at this very statement; ``now()`` would be the transaction's start."""

    template = "clock_timestamp()"
    output_field = DateTimeField()


def in_time(moment: Any) -> Q:
    """Questions that may still be answered at ``moment``: in their window, or beyond it where they
    outlive it."""
    return Q(expires_at__gt=moment) | Q(ends_at__gt=moment)


@participant
def locked(approval_id: UUID) -> Approval:
    """The approval, with its row held until the transaction ends. It is read alone: joined with who
    claimed and who decided it, PostgreSQL would look at who that was before it waited, so whoever
    comes second would not be told by whom."""
    found = Approval.objects.select_for_update().filter(pk=approval_id).first()
    if found is None:
        raise NotFoundError("There is no such approval.")
    return found


@participant
def make_void(rows: QuerySet[Approval]) -> int:
    """Take questions back. Locked in one order, so that two who do it can't wait for each other."""
    found = list(rows.order_by("pk").select_for_update().only("id", "run_id", "step_id"))
    if found:
        Approval.objects.filter(pk__in=[row.pk for row in found]).update(
            state=State.VOID, claimed_by=None, claimed_until=None
        )
        audit.record_many([fact("void", row, TOWER) for row in found])
    return len(found)


@participant
def end_delegation(approval: Approval, *, to: User | None = None) -> bool:
    """End the delegation that there is, to this person or to anybody. Whether there was one."""
    rows = Delegation.objects.filter(approval=approval, over_at=None)
    rows = rows.filter(to=to) if to is not None else rows
    return rows.update(over_at=ClockTimestamp()) == 1


def asked_of(approval: Approval) -> SignedQuestion:
    """The stored question as signatures cover it."""
    return SignedQuestion(
        approval_id=str(approval.pk),
        decision_id=str(approval.decision_id),
        run_id=str(approval.run_id),
        step_id=str(approval.step_id),
        digest=approval.digest,
        contract=f"{approval.job_slug}@{approval.contract_number}",
        policy=str(approval.bound_to.get("policy_digest", "")),
        votes_required=approval.votes_required,
        shown={column: getattr(approval, column) for column in SHOWN},
    )


def rungs_of(approval: Approval) -> list[Rung]:
    """What the clock climbs for this question."""
    return ladder.rungs(approval.ladder, stays_open=approval.ends_at is not None)


def set_next(approval: Approval, climbed: Collection[int]) -> None:
    """Tell the row (unsaved) when the sweep has to look at it again."""
    approval.rung_at = ladder.next_moment(
        rungs_of(approval), climbed, asked_at=approval.created_at, due_at=approval.expires_at
    )


def fact(kind: str, approval: Approval, by: Actor, **payload: Any) -> audit.Fact:
    """An event about one approval."""
    return audit.Fact(
        kind=f"approval.{kind}",
        actor=by,
        subject_type="approval",
        subject_id=str(approval.pk),
        run_id=approval.run_id,
        payload={"step_id": str(approval.step_id), **payload},
    )
