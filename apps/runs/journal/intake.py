"""Take runs in: many rows of what arrives, a statement each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.kernel.statements import names, record
from apps.kernel.transactions import participant
from apps.runs.domain.rows import TakenIn
from apps.runs.journal import execute, fetch, to_json

# The client's clock is not asked: a deadline is so many seconds from when the row is written.
MADE = {"deadline_s", "items", "begins_in_s", "is_over"}  # these are made into others
_ADD = f"""
    WITH v AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS {record(TakenIn)}
    ), taken AS (
        INSERT INTO runs_run ({names(TakenIn, but=MADE)}, deadline_at, retries, degraded,
            has_violation, had_hold, created_at, deferred_until, started_at, finished_at)
        SELECT {names(TakenIn, but=MADE)}, clock_timestamp() + make_interval(secs => deadline_s),
            0, false, false, false, clock_timestamp(),
            clock_timestamp() + make_interval(secs => begins_in_s),
            CASE WHEN is_over AND state <> 'shed' THEN clock_timestamp() END,
            CASE WHEN is_over THEN clock_timestamp() END
        FROM v
    )
    INSERT INTO runs_runscript (run_id, items) SELECT id, items FROM v
"""  # noqa: S608  # the columns of a type, no input


@participant
def add_runs(rows: Sequence[TakenIn]) -> None:
    """Insert runs with their scripts."""
    if rows:
        execute(_ADD, [to_json(list(rows))])


@participant
def lock_deferred(*, each_job: int) -> list[tuple[UUID, int, str]]:
    """Lock the deferred runs that would be next: most important first, then oldest, up to
    ``each_job`` of a job, so that one job's backlog hides no other's. Rows that another sweep has
    locked are its own. Returns (run, class, job)."""
    # A run that somebody cancels at this moment is locked too, and is skipped.
    rows = fetch(
        """
        SELECT id, criticality_class, job_slug FROM runs_run
        WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER (
                    PARTITION BY job_slug ORDER BY criticality_class, created_at, id) AS place
                FROM runs_run WHERE state = 'accepted') placed
            WHERE place <= %s) AND state = 'accepted'
        ORDER BY criticality_class, created_at, id
        FOR UPDATE SKIP LOCKED
        """,
        [each_job],
    )
    return [(row[0], row[1], row[2]) for row in rows]


@participant
def defer_on(rows: Sequence[tuple[UUID, float, str]]) -> None:
    """Say of deferred runs until when and why they wait on: (run, seconds, reason)."""
    if rows:
        execute(
            """
            UPDATE runs_run r SET admission_reason = v.reason,
                deferred_until = clock_timestamp() + make_interval(secs => v.wait_s)
            FROM unnest(%s::uuid[], %s::float[], %s::text[]) AS v(id, wait_s, reason)
            WHERE r.id = v.id AND r.state = 'accepted'
              AND (r.deferred_until <= clock_timestamp() OR r.admission_reason <> v.reason)
            """,
            [[r[0] for r in rows], [r[1] for r in rows], [r[2][:300] for r in rows]],
        )


@participant
def undefer(run_ids: Sequence[UUID]) -> None:
    """Deferred runs that begin now: from here on they are like any other."""
    if run_ids:
        execute(
            "UPDATE runs_run SET state = 'queued', deferred_until = NULL"
            " WHERE id = ANY(%s) AND state = 'accepted'",
            [list(run_ids)],
        )


@participant
def begin_at_once(run_ids: Sequence[UUID]) -> None:
    """Mark runs running that end without any step."""
    if run_ids:
        execute(
            "UPDATE runs_run SET state = 'running', started_at = clock_timestamp()"
            " WHERE id = ANY(%s) AND state = 'queued'",
            [list(run_ids)],
        )


def is_waiting() -> bool:
    """Whether any run is deferred."""
    return bool(fetch("SELECT EXISTS (SELECT FROM runs_run WHERE state = 'accepted')", [])[0][0])


def note_load(rows: dict[str, Any], *, least_s: float, keep_s: float) -> bool:
    """Keep a sample of the load unless one was taken within ``least_s`` seconds, and forget old
    ones. ``rows``: queued by class, deferred, open approvals. Returns whether it was kept."""
    # Two sweeps in the same instant: the time is the key, so one of them keeps its sample.
    taken = execute(
        """
        WITH last AS (SELECT at, runs FROM runs_loadsample ORDER BY at DESC LIMIT 1)
        INSERT INTO runs_loadsample (at, queued, deferred, runs, leases, calls, open_approvals)
        SELECT clock_timestamp(), %s::jsonb, %s,
            coalesce((SELECT runs FROM last), 0) + (
                SELECT count(*) FROM runs_run
                WHERE created_at > coalesce((SELECT at FROM last), clock_timestamp())
                  AND state NOT IN ('shed', 'accepted')),
            coalesce((SELECT n_tup_ins FROM pg_stat_user_tables
                WHERE relid = 'runs_step'::regclass), 0),
            coalesce((SELECT n_tup_ins FROM pg_stat_user_tables
                WHERE relid = 'runs_attempt'::regclass), 0), %s
        WHERE NOT EXISTS (
            SELECT FROM last WHERE at > clock_timestamp() - make_interval(secs => %s))
        ON CONFLICT DO NOTHING
        """,
        [to_json(rows["queued"]), rows["deferred"], rows["open_approvals"], least_s],
    )
    execute(
        "DELETE FROM runs_loadsample WHERE at < clock_timestamp() - make_interval(secs => %s)",
        [keep_s],
    )
    return bool(taken)
