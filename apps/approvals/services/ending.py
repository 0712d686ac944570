"""The ends that no person brings about: the clock, and runs that ended another way."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from apps.approvals.models import Approval
from apps.approvals.services.rows import ClockTimestamp, State, database_now, fact, make_void
from apps.audit import services as audit
from apps.kernel.transactions import command, participant


@command
def expire_due(limit: int = 500) -> int:
    """End questions whose time has run out: fail closed. Safe beside a person who decides at the
    same moment: whoever has the row first wins, the other finds it no longer pending."""
    due = (
        Approval.objects.filter(state=State.PENDING, expires_at__lte=ClockTimestamp())
        .order_by("expires_at")
        .select_for_update(skip_locked=True)[:limit]
    )
    rows = list(due.only("id", "run_id", "step_id"))
    Approval.objects.filter(pk__in=[row.pk for row in rows], state=State.PENDING).update(
        state=State.EXPIRED, decided_at=database_now(), claimed_by=None, claimed_until=None
    )
    audit.record_many([fact("expired", row, "sweeper") for row in rows])
    return len(rows)


@participant
def void_for_run(run_id: UUID) -> int:
    """Take back the questions of a run that ended another way, and answers nobody used yet."""
    unused = Q(state=State.PENDING) | Q(state=State.APPROVED, consumed_at=None)
    return make_void(Approval.objects.filter(unused, run_id=run_id))
