"""What became of runs that somebody started together: for programs that look on from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from apps.calls.domain.context import told
from apps.runs.models import Run, Step


class StartedRun(NamedTuple):
    id: UUID
    state: str
    outcome: str
    domain: str
    job: str
    contract_version_id: int
    context: Mapping[str, str]
    created_at: datetime
    finished_at: datetime | None


class ProposalRow(NamedTuple):
    """A call that an agent proposed. ``ref`` is what its script calls it."""

    step_id: UUID
    run_id: UUID
    ref: str
    tool: str
    arguments: Any
    disposition: str
    gate: str


def rows(run_ids: Collection[UUID]) -> list[StartedRun]:
    """The runs, in the order in which they were started."""
    found = Run.objects.filter(id__in=run_ids).order_by("created_at")
    return [
        StartedRun(
            run.id,
            run.state,
            run.outcome,
            run.domain_slug,
            run.job_slug,
            run.contract_version_id,
            told(run.context),
            run.created_at,
            run.finished_at,
        )
        for run in found
    ]


def proposals(run_ids: Collection[UUID]) -> list[ProposalRow]:
    """Every call of a tool that was proposed in these runs."""
    columns = ("id", "run_id", "ref", "tool_name", "arguments", "disposition", "gate")
    found = Step.objects.filter(run_id__in=run_ids, kind=Step.Kind.TOOL)
    return [ProposalRow(*row) for row in found.values_list(*columns)]


def refs_of(step_ids: Collection[UUID]) -> dict[UUID, str]:
    """What their scripts call these steps."""
    return dict(Step.objects.filter(id__in=step_ids).values_list("id", "ref"))


def in_states(run_ids: Collection[UUID], states: Collection[str]) -> list[UUID]:
    """Those of the runs that are in one of these states."""
    found = Run.objects.filter(id__in=run_ids, state__in=states)
    return list(found.values_list("id", flat=True))


def any_from(source: str) -> bool:
    """Whether a run of this source was ever started."""
    return Run.objects.filter(source=source).exists()
