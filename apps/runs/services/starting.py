"""Accept cases and queue their first steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from apps.audit.services import Fact, record_many
from apps.catalog import selectors as catalog
from apps.kernel.ids import new_id
from apps.kernel.transactions import after_commit, command, participant
from apps.runs import course, dispatch, journal
from apps.runs.models import Run, RunScript
from apps.runs.work import Carried


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
    # Chosen beforehand by a caller that may have to ask later whether its run was accepted.
    id: UUID | None = None


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
    _begin(runs, cases)
    record_many(
        [Fact("run.accepted", actor, "run", str(r.id), r.id, {"job": r.job_slug}) for r in runs]
    )
    for lane in {r.lane for r in runs}:
        after_commit(partial(dispatch.ring, lane))
    return [r.id for r in runs]


def _run(case: NewRun) -> Run:
    contract = catalog.contract(case.contract_version_id)
    run_id = case.id or new_id()
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
def _begin(runs: Sequence[Run], cases: Sequence[NewRun]) -> None:
    """Queue the first steps. A case that asks for nothing is answered on the spot."""
    mine = Run.objects.filter(id__in=[r.id for r in runs])
    mine.filter(state="accepted").update(state="queued")
    for run in runs:
        run.state = "queued"
    fresh = [Carried(run, list(c.items), 0) for run, c in zip(runs, cases, strict=True)]
    path = course.plot(fresh, notes={})
    ended = [i for i, row in path.runs.items() if row["state"] not in {"queued", "running"}]
    mine.filter(id__in=ended, state="queued").update(state="running", started_at=Now())
    moved = journal.update_runs(list(path.runs.values()))
    journal.add_messages([m for m in path.messages if m["run_id"] in moved])
    journal.move_scripts([s for s in path.scripts if s["run_id"] in moved])
    journal.add_steps([s for s in path.steps if s["run_id"] in moved], owner="", lease_s=None)
