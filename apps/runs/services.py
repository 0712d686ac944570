"""The commands of people and events: start a run, cancel it, wake a step, open a desk."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from apps.approvals import services as approvals
from apps.audit.services import Fact, record, record_many
from apps.catalog import selectors as catalog
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.ids import new_id
from apps.kernel.transactions import after_commit, command, participant
from apps.runs import course, dispatch, journal
from apps.runs.models import Desk, Run, RunScript, Worker

DRAINS_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class NewRun:
    """An accepted case. ``items`` is the script of a scripted agent; for a live one, what the
    customer said."""

    job_slug: str
    contract_version_id: int
    agent_version_id: int
    agent_kind: str
    agent_label: str
    items: Sequence[Mapping[str, Any]]
    domain_slug: str
    contract_number: int
    customer: str = ""
    request: str = ""
    source: str = "manual"
    case_ref: str = ""
    world: str = "live"
    dialect: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    # What a recording says its model used; a live model's use is counted turn by turn.
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None


@command
def start_runs(cases: Sequence[NewRun], *, actor: str) -> list[UUID]:
    """Accept cases and queue their first steps. All or none; returns the runs' ids."""
    return _start(cases, actor=actor)


def start_run(case: NewRun, *, actor: str) -> UUID:
    """Accept one case; see ``start_runs``."""
    return start_runs([case], actor=actor)[0]


@participant
def _start(cases: Sequence[NewRun], *, actor: str) -> list[UUID]:
    runs = [_run(case) for case in cases]
    Run.objects.bulk_create(runs)
    RunScript.objects.bulk_create(
        RunScript(run_id=run.id, items=list(case.items))
        for run, case in zip(runs, cases, strict=True)
    )
    _begin(runs)
    record_many(
        [Fact("run.accepted", actor, "run", str(r.id), r.id, {"job": r.job_slug}) for r in runs]
    )
    for lane in {r.lane for r in runs}:
        after_commit(partial(dispatch.ring, lane))
    return [r.id for r in runs]


def _run(case: NewRun) -> Run:
    contract = catalog.contract(case.contract_version_id)
    run_id = new_id()
    return Run(
        id=run_id,
        trace_id=run_id,
        domain_slug=case.domain_slug,
        job_slug=case.job_slug,
        contract_number=case.contract_number,
        contract_version_id=case.contract_version_id,
        agent_version_id=case.agent_version_id,
        agent_kind=case.agent_kind,
        agent_label=case.agent_label,
        source=case.source,
        case_ref=case.case_ref,
        customer=case.customer,
        request=case.request,
        input=dict(case.input),
        tokens_in=case.tokens_in,
        tokens_out=case.tokens_out,
        cost_microusd=case.cost_microusd,
        world=case.world,
        dialect=case.dialect,
        lane=contract.lane if contract.lane in settings.LANES else "normal",
        priority=contract.priority,
        deadline_at=timezone.now() + timedelta(seconds=contract.limits.deadline_s),
    )


@participant
def _begin(runs: Sequence[Run]) -> None:
    """Queue the first steps. A case that asks for nothing is answered on the spot."""
    mine = Run.objects.filter(id__in=[r.id for r in runs])
    mine.filter(state="accepted").update(state="queued")
    for run in runs:
        run.state = "queued"
    path = course.plot(runs, notes={})
    ended = [i for i, row in path.runs.items() if row["state"] not in {"queued", "running"}]
    mine.filter(id__in=ended, state="queued").update(state="running", started_at=Now())
    moved = journal.update_runs(list(path.runs.values()))
    journal.add_messages([m for m in path.messages if m["run_id"] in moved])
    journal.move_scripts([s for s in path.scripts if s["run_id"] in moved])
    journal.add_steps([s for s in path.steps if s["run_id"] in moved], owner="", lease_s=None)


@command
def cancel_run(run_id: UUID, *, actor: Any, reason: str) -> None:
    """Stop a run for good. What is already on its way to a tool is finished and recorded; nothing
    further starts. Losing the race against the run's own end is told as a conflict."""
    if not reason.strip():
        raise InvalidInputError("Say why the run is cancelled.", field="reason")
    open_states = ["accepted", "queued", "running", "waiting_approval", "confirmation_unknown"]
    mine = Run.objects.filter(id=run_id)
    if not mine.exists():
        raise NotFoundError("There is no such run.")
    # A guarded update against the engine: whichever commits first decides.
    moved = mine.filter(state__in=open_states).update(
        state="cancelled",
        outcome="cancelled",
        error_class="cancelled",
        summary=reason,
        finished_at=Now(),
    )
    if not moved:
        raise ConflictError("The run has ended meanwhile; reload to see how.", code="run_ended")
    journal.cancel_waiting_steps(run_id)
    approvals.void_for_run(run_id)
    record(
        kind="run.cancelled",
        actor=str(actor),
        subject_type="run",
        subject_id=run_id,
        run_id=run_id,
        payload={"reason": reason},
    )


def wake(approval_ids: Sequence[UUID]) -> int:
    """Queue the steps that waited for these approvals, and ring. Returns how many woke."""
    lanes = _wake(approval_ids)
    for lane in set(lanes):
        dispatch.ring(lane)
    return len(lanes)


@command
def _wake(approval_ids: Sequence[UUID]) -> list[str]:
    return journal.wake(approval_ids)


@command
def renew_leases(tokens: Sequence[int], *, lease_s: float) -> int:
    """Keep the leases of calls in flight."""
    return journal.renew(tokens, lease_s=lease_s)


def beat(name: str, kind: str, lane: str, in_flight: int, steps_done: int) -> None:
    """Say that a process is alive. The database's clock notes when."""
    values = {"in_flight": in_flight, "steps_done": steps_done, "seen_at": Now()}
    born = {"kind": kind, "lane": lane, "pid": os.getpid(), "host": socket.gethostname()}
    Worker.objects.update_or_create(name=name, defaults=values, create_defaults={**values, **born})


def forget_drains() -> int:
    """Drop the rows of drains that ended a while ago: each drain has a name of its own. Returns
    how many were dropped."""
    old = Worker.objects.filter(kind="drainer", seen_at__lt=Now() - DRAINS_KEPT)
    return old.delete()[0]


@command
def set_desk(domain_slug: str, is_open: bool, actor: Any) -> None:
    """Open or close the desk: whether new cases arrive by themselves."""
    changed = Desk.objects.filter(domain_slug=domain_slug).update(
        is_open=is_open, changed_by=str(actor), changed_at=Now(), next_case_at=Now()
    )
    if not changed:
        raise NotFoundError(f"There is no desk “{domain_slug}”.")
    record(
        kind="desk.opened" if is_open else "desk.closed",
        actor=str(actor),
        subject_type="desk",
        subject_id=domain_slug,
    )


@command
def take_case(domain_slug: str, *, at_once: bool = False) -> int | None:
    """The index of the next case if one is due at an open desk, else ``None``. The row is updated
    under its own guard, so that two desk processes never take the same case."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_desk SET next_index = next_index + 1, next_case_at ="
            " clock_timestamp() + make_interval(secs => 60.0 / greatest(per_minute, 0.01))"
            " WHERE domain_slug = %s AND (%s OR (is_open AND next_case_at <= clock_timestamp()))"
            " RETURNING next_index - 1",
            [domain_slug, at_once],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def ensure_desks(domain_slugs: Sequence[str]) -> None:
    """A desk for each domain, open with its usual pace; existing ones are left as they are."""
    Desk.objects.bulk_create([Desk(domain_slug=s) for s in domain_slugs], ignore_conflicts=True)
