"""The ends that no person brings about: the clock, and runs that ended another way."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from apps.audit import services as audit
from apps.audit.domain.actors import SWEEPER
from apps.kernel.apart import Aside, deal
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight.models import Approval
from apps.oversight.services.granting import void_grants
from apps.oversight.services.rows import (
    LIVE,
    UNUSED,
    ClockTimestamp,
    State,
    fact,
    in_time,
    make_void,
)
from apps.oversight.services.turns import give_back_turns

UNENDABLE = Aside("question")
ANOTHER_TOOL = "The tool was published anew."
ANOTHER_CONTRACT = "The contract was published anew."


def expire_due(limit: int = 500) -> int:
    """End questions whose time has run out: fail closed. One that outlives its window ends at its
    run's deadline. Safe beside a person who decides at the same moment: whoever has the row first
    wins, the other finds it no longer pending. A question that can't be ended is set aside; nobody
    can answer it any more all the same."""
    due = _due(Approval.objects.exclude(pk__in=UNENDABLE.left_alone()))
    ids = list(due.values_list("pk", flat=True)[:limit])
    return sum(deal(ids, lambda some: [_expire_these(some)], UNENDABLE))


@command
def _expire_these(ids: Collection[UUID]) -> int:
    return _expire(Approval.objects.filter(pk__in=ids))


def _due(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    due = rows.filter(state=State.PENDING, expires_at__lte=ClockTimestamp())
    return due.exclude(in_time(ClockTimestamp())).order_by("expires_at")


def _expire(rows: QuerySet[Approval]) -> int:
    # Whoever decides holds the row: it is skipped here, and its answer counts, not the clock.
    due = _due(rows).select_for_update(skip_locked=True)
    found = list(due.only("id", "run_id", "step_id"))
    Approval.objects.filter(pk__in=[row.pk for row in found], state=State.PENDING).update(
        state=State.EXPIRED, decided_at=database_now(), claimed_by=None, claimed_until=None
    )
    audit.record_many([fact("expired", row, SWEEPER) for row in found])
    return len(found)


@participant
def void_for_run(run_id: UUID) -> int:
    """Take back the questions of a run that ended another way, and answers nobody used yet. A
    question whose time had run out by then is expired all the same: nobody took it back. What
    waited for its turn to be asked is asked no more, and takes no other's."""
    give_back_turns(run_id)
    _expire(Approval.objects.filter(run_id=run_id))
    return make_void(Approval.objects.filter(LIVE, run_id=run_id))


@command
def void_after_restore() -> int:
    """Take back the answers that nobody has used yet, those in their time to be taken back among
    them: in a restored database they may have been used after the backup was made, and would let
    the same be done twice. People are asked again."""
    return make_void(Approval.objects.filter(UNUSED))


@participant
def void_for_tool(domain_slug: str, tool_name: str) -> int:
    """Take back the questions about a tool that isn't what they were asked about, and answers that
    nobody used yet. The steps are judged anew, and their people asked again. Grants for it end."""
    void_grants(ANOTHER_TOOL, domain_slug=domain_slug, tool_name=tool_name)
    return make_void(Approval.objects.filter(LIVE, domain_slug=domain_slug, tool_name=tool_name))


@participant
def void_for_job(job_slug: str) -> int:
    """End the grants of a job whose contract is published anew."""
    return void_grants(ANOTHER_CONTRACT, job_slug=job_slug)
