"""The time in which an approval can be taken back: nothing is carried out before it has passed.

A granted approval either becomes an approved one, which wakes its step, or a question again. Both
are one guarded update of one row by the database's clock, so exactly one of them happens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db.models.functions import Greatest

from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import SWEEPER
from apps.kernel.apart import Aside, deal
from apps.kernel.errors import ConflictError, NotPermittedError
from apps.kernel.transactions import command, participant
from apps.oversight.domain import rules
from apps.oversight.models import Approval, Reversal, Vote
from apps.oversight.services.deciding import GRACE, require_able
from apps.oversight.services.rows import ClockTimestamp, State, fact, locked
from apps.oversight.services.scopes import require_within

UNRELEASED = Aside("approval")
TOO_LATE = "It is too late to take it back: the step goes on. What it does can be undone after."


@command
def undo(*, approval_id: UUID, user: User) -> Approval:
    """Take an approval back within its time: the question waits again, for everybody's answer.
    Whoever comes too late gets a ConflictError. Anybody who may decide can."""
    return take_back(approval_id, user)


@participant
def take_back(approval_id: UUID, user: User) -> Approval:
    """``undo`` within the transaction of whoever takes several back."""
    require_able(user)
    approval = locked(approval_id)
    if not rules.may_decide(user.role, approval.asked_roles):
        raise NotPermittedError("Only those who may decide can take an approval back.")
    require_within(approval, user)
    votes = list(approval.votes.select_related("user").order_by("at"))
    # Guarded by the clock of this very statement: what was released is approved and stays it.
    moved = Approval.objects.filter(
        pk=approval.pk, state=State.GRANTED, not_before__gt=ClockTimestamp()
    ).update(
        state=State.PENDING,
        decided_by=None,
        decided_at=None,
        reason="",
        signature="",
        key_id="",
        not_before=None,
    )
    if moved != 1:
        raise _too_late(approval)
    _keep(approval, user, votes)
    approval.votes.all().delete()  # while it is a question again
    given_by = approval.decided_by.username if approval.decided_by else ""
    audit.record_many([fact("undone", approval, user.actor, given_by=given_by)])
    return approval


def _too_late(approval: Approval) -> ConflictError:
    if approval.state in {State.GRANTED, State.APPROVED}:
        return ConflictError(TOO_LATE, code="late")
    word = "still waits" if approval.state == State.PENDING else f"was {approval.state}"
    return ConflictError(f"There is nothing to take back: it {word}.", code="late")


def _keep(approval: Approval, user: User, votes: Sequence[Vote]) -> None:
    Reversal.objects.create(
        approval=approval,
        by=user,
        decided_by=approval.decided_by,
        decided_at=approval.decided_at,
        reason=approval.reason,
        signature=approval.signature,
        key_id=approval.key_id,
        votes=[_kept(vote) for vote in votes],
    )


def _kept(vote: Vote) -> dict[str, Any]:
    names = (
        *("approve", "reason", "digest", "nonce", "dwell_ms", "shown_ms", "signature", "key_id"),
        "passkey",
    )
    who = {"user": vote.user.username, "user_id": vote.user_id, "at": vote.at.isoformat()}
    return {**who, **{name: getattr(vote, name) for name in names}}


def release_due(limit: int = 500) -> int:
    """Let approvals count whose time to be taken back has passed. One that can't be is set aside,
    and the others go on."""
    due = _due().exclude(pk__in=UNRELEASED.left_alone())
    ids = list(due.values_list("pk", flat=True)[:limit])
    return sum(deal(ids, lambda some: [_release(some)], UNRELEASED))


def _due() -> Any:
    rows = Approval.objects.filter(state=State.GRANTED, not_before__lte=ClockTimestamp())
    return rows.order_by("not_before")


@command
def _release(ids: Collection[UUID]) -> int:
    # Whoever takes one back holds its row: it is skipped here, and the clock of their statement
    # decides. The update is guarded again, since the rows were found before it.
    rows = _due().filter(pk__in=ids).select_for_update(skip_locked=True, of=("self",))
    found = list(rows.select_related("decided_by"))
    Approval.objects.filter(pk__in=[row.pk for row in found], state=State.GRANTED).update(
        state=State.APPROVED, expires_at=Greatest("expires_at", ClockTimestamp() + GRACE)
    )
    audit.record_many([_fact(row) for row in found])
    return len(found)


def _fact(row: Approval) -> audit.Fact:
    by = row.decided_by
    given_at = row.decided_at.isoformat() if row.decided_at else ""
    told = {"approve": True, "reason": row.reason, "given_at": given_at}
    return fact("approved", row, by.actor if by else SWEEPER, **told)
