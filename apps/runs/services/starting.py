"""Take cases in: now, later or not at all, and queue the first steps of those taken in now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models.expressions import DatabaseDefault
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain import context
from apps.calls.domain.admission import Accept, Admission, Class, Defer, Shed, class_of
from apps.calls.services import hiding
from apps.catalog import selectors as catalog
from apps.kernel.errors import InvalidInputError
from apps.kernel.ids import new_id
from apps.kernel.statements import columns
from apps.kernel.transactions import after_commit, command, participant
from apps.runs import course, dispatch, journal
from apps.runs.domain.origin import origin_of
from apps.runs.domain.results import RunOutcome, RunSource
from apps.runs.domain.rows import MovedRun, TakenIn
from apps.runs.domain.states import UNDER_WAY, State
from apps.runs.journal import intake, results
from apps.runs.models import Run
from apps.runs.services.admitting import ended_fact, reading
from apps.runs.work import Carried

AS_GIVEN = (
    *("domain_slug", "job_slug", "contract_number", "contract_version_id", "agent_version_id"),
    *("agent_kind", "agent_label", "source", "case_ref", "customer", "request"),
    *("tokens_in", "tokens_out", "cost_microusd", "tenant"),
)
TAKEN_IN_ALWAYS = {RunSource.REPLAY}  # a scorecard must not depend on how busy the tower is


@dataclass(frozen=True, slots=True)
class NewRun:
    """A case that asks to be taken in. ``items`` is the script of a scripted agent; for a live one,
    what the customer said. ``criticality_class`` may make it matter less than its contract says
    (3: batch), never more."""

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
    source: str = RunSource.MANUAL
    case_ref: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    # What a recording says its model used; a live model's use is counted turn by turn.
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None
    # Chosen beforehand by a caller that may have to ask later whether its run was accepted.
    id: UUID | None = None
    criticality_class: int | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of a case: its run, and why it waits or was rejected."""

    run_id: UUID
    verdict: Admission

    @property
    def is_shed(self) -> bool:
        return isinstance(self.verdict, Shed)


@command
def admit_runs(cases: Sequence[NewRun], *, actor: Actor) -> list[Admitted]:
    """Take cases in, each as the load allows: queued, deferred (``accepted`` without a step; the
    sweep begins it when the pressure has gone) or shed, with the reason and the time at which to
    come again. All are recorded or none; in the order given."""
    return _start(cases, actor=actor)


def start_runs(cases: Sequence[NewRun], *, actor: Actor) -> list[UUID]:
    """As ``admit_runs``; returns the runs' ids, whose states say what became of them."""
    return [a.run_id for a in admit_runs(cases, actor=actor)]


def start_run(case: NewRun, *, actor: Actor) -> UUID:
    """Take one case in; see ``start_runs``."""
    return start_runs([case], actor=actor)[0]


@participant
def _start(cases: Sequence[NewRun], *, actor: Actor) -> list[Admitted]:
    cases = hiding.taken_in(cases)
    runs = [_run(case) for case in cases]
    verdicts = [_verdict(case, run) for case, run in zip(cases, runs, strict=True)]
    now = [
        Carried(run, list(case.items))
        for case, run, verdict in zip(cases, runs, verdicts, strict=True)
        if isinstance(verdict, Accept)
    ]
    path = course.advance_runs(now, notes={})
    intake.add_runs(
        [
            _row(run, verdict, case.items, path.runs.get(run.id))
            for case, run, verdict in zip(cases, runs, verdicts, strict=True)
        ]
    )
    journal.add_messages(path.messages)
    results.keep(path.results)
    journal.add_steps(path.steps, owner="", lease_s=None)
    facts = [_fact(run, verdict, actor) for run, verdict in zip(runs, verdicts, strict=True)]
    over = [ended_fact(i, row, actor) for i, row in path.runs.items() if row.state not in UNDER_WAY]
    for lane in {carried.run.lane for carried in now}:
        after_commit(partial(dispatch.ring, lane))  # before the ticks of what is recorded
    record_many([*facts, *over])
    return [Admitted(run.id, verdict) for run, verdict in zip(runs, verdicts, strict=True)]


def _verdict(case: NewRun, run: Run) -> Admission:
    if case.source in TAKEN_IN_ALWAYS:
        return Accept()
    contract = catalog.contract(case.contract_version_id)
    return reading().verdict(
        Class(run.criticality_class),
        case.job_slug,
        deadline_s=contract.limits.deadline_s,
        window_s=contract.decisions.window_s,
    )


def _run(case: NewRun) -> Run:
    contract = catalog.contract(case.contract_version_id)
    run_id = case.id or new_id()
    values = {
        "id": run_id,
        "trace_id": run_id,
        "state": "queued",
        "outcome": "",
        "error_class": "",
        "summary": "",
        "steps_total": 0,
        "input": dict(case.input),
        "context": _context(case),
        "origin": origin_of(case.source).value,
        "criticality_class": class_of(contract.criticality, case.criticality_class),
        "admission_reason": "",
        "engine_version": settings.ENGINE_VERSION,
        "lane": contract.lane if contract.lane in settings.LANES else "normal",
        "priority": contract.priority,
        "deadline_at": timezone.now() + timedelta(seconds=contract.limits.deadline_s),
    } | {name: getattr(case, name) for name in AS_GIVEN}
    return Run(*[values.get(name, blank) for name, blank in _blank()])


def _context(case: NewRun) -> dict[str, str]:
    if wrong := context.problem(case.context):
        raise InvalidInputError(wrong, code="invalid_context", field="context")
    return dict(case.context)


@cache
def _blank() -> list[tuple[str, Any]]:
    """Every column of a run with what it is until something happens. Made once: Django's own
    defaults, run by run, cost more than the insert."""
    fields = [(f, f.get_default()) for f in Run._meta.concrete_fields]
    return [(f.attname, "" if isinstance(d, DatabaseDefault) else d) for f, d in fields]


_OF_RUN = tuple(name for name in columns(TakenIn) if name not in intake.MADE)


def _row(run: Run, verdict: Admission, items: Sequence[Any], moved: MovedRun | None) -> TakenIn:
    """A run as it is stored, with what its first stretch has made of it."""
    row = TakenIn(
        **{name: getattr(run, name) for name in _OF_RUN},
        deadline_s=catalog.contract(run.contract_version_id).limits.deadline_s,
        items=list(items),
    )
    if moved is not None:
        row.state, row.outcome, row.error_class = moved.state, moved.outcome, moved.error_class
        row.summary, row.steps_total, row.cursor = moved.summary, moved.steps_total, moved.cursor
        row.is_over = moved.state not in UNDER_WAY
    elif isinstance(verdict, Defer):
        row.state, row.begins_in_s = State.ACCEPTED, verdict.for_s
        row.admission_reason = verdict.reason[:300]
    elif isinstance(verdict, Shed):
        told = f"Rejected (overload): {verdict.reason}. Retry after {verdict.retry_after_s:.0f} s."
        row.state, row.outcome, row.error_class = State.SHED, RunOutcome.SHED, "overload"
        row.summary, row.admission_reason = told, verdict.reason[:300]
        row.begins_in_s, row.is_over = verdict.retry_after_s, True
        row.items = ()  # its load is shed too: the conversation isn't kept
    return row


def _fact(run: Run, verdict: Admission, actor: Actor) -> Fact:
    payload: dict[str, Any] = {"job": run.job_slug}
    kind = "run.accepted"
    if isinstance(verdict, Defer):
        kind = "run.deferred"
        payload |= {"reason": verdict.reason, "for_s": round(verdict.for_s)}
    elif isinstance(verdict, Shed):
        kind = "run.shed"
        payload |= {"reason": verdict.reason, "retry_after_s": round(verdict.retry_after_s)}
    return Fact(kind, actor, "run", str(run.id), run.id, payload)
