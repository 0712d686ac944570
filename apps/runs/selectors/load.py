"""What waits, what is under way and how fast it moves: what admission and caps go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Count

from apps.calls.domain.admission import Class
from apps.calls.domain.caps import Who
from apps.catalog.selectors import pinned
from apps.runs.domain.states import CANCELLABLE
from apps.runs.models import Run

SAMPLES_KEPT_S = 3600.0
RECENT_RUNS = 1000
LEAST_RUNS = 5
MEASURED_OVER_S = 60.0
BUSY = 100  # so many waiting throughout a minute: the machine was at its limit
LEAST_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class WaitingRuns:
    """Runs that wait for their first step, and deferred ones."""

    queued: dict[tuple[Class, str], int]
    deferred: dict[Class, int]


def waiting() -> WaitingRuns:
    """What waits now: one query over two small partial indexes."""
    queued: dict[tuple[Class, str], int] = {}
    deferred: dict[Class, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT criticality_class, job_slug, count(*) FROM runs_run"
            " WHERE state = 'queued' GROUP BY 1, 2"
            " UNION ALL SELECT criticality_class, NULL, count(*) FROM runs_run"
            " WHERE state = 'accepted' GROUP BY 1"
        )
        for cls, job, n in cursor.fetchall():
            if job is None:
                deferred[Class(cls)] = n
            else:
                queued[Class(cls), job] = n
    return WaitingRuns(queued, deferred)


def on_their_way(job_slug: str) -> dict[int, int]:
    """``{contract version: runs}`` of a job that haven't ended."""
    runs = Run.objects.filter(job_slug=job_slug, state__in=sorted(CANCELLABLE)).order_by()
    return dict(runs.values_list("contract_number").annotate(n=Count("pk")))


def begun_per_s() -> float | None:
    """Runs that left the queue a second, in the last minute; None when the queue was short in it,
    so that only what came in could leave, or when nothing is known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM at)::float8, runs, (SELECT coalesce(sum(value::int), 0)"
            " FROM jsonb_each_text(queued)) FROM runs_loadsample"
            " WHERE at > clock_timestamp() - make_interval(secs => %s) ORDER BY at",
            [MEASURED_OVER_S],
        )
        rows = cursor.fetchall()
    if len(rows) < LEAST_SAMPLES or min(queued for _, _, queued in rows) < BUSY:
        return None
    (first_at, first_runs, first_queued), (at, runs, queued) = rows[0], rows[-1]
    left = (runs - first_runs) - (queued - first_queued)
    return left / (at - first_at) if left > 0 else None


def share_needing_people(job: str) -> float | None:
    """The share of a job's latest runs that asked a person; None when too few have begun."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE had_hold) FROM ("
            " SELECT had_hold, started_at FROM runs_run WHERE job_slug = %s"
            " ORDER BY created_at DESC LIMIT %s) latest WHERE started_at IS NOT NULL",
            [job, RECENT_RUNS],
        )
        begun, held = cursor.fetchone()
    return held / begun if begun >= LEAST_RUNS else None


def running_by(*, besides: Sequence[UUID] = ()) -> dict[tuple[str, str], int]:
    """Steps at work by everything that a cap can name, ``besides`` some."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.domain_slug || '/' || s.tool_name, r.job_slug, r.agent_version_id, r.tenant,"
            " count(*) FROM runs_step s JOIN runs_run r ON r.id = s.run_id"
            " WHERE s.state = 'running' AND NOT s.id = ANY(%s) GROUP BY 1, 2, 3, 4",
            [list(besides)],
        )
        rows = cursor.fetchall()
    found: dict[tuple[str, str], int] = {}
    for tool, job, agent_version_id, tenant, steps in rows:
        who = Who(tool, job, pinned.agent_slug(agent_version_id), tenant)
        for pair in zip(who._fields, who, strict=True):
            found[pair] = found.get(pair, 0) + steps
    return found
