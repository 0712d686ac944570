"""Statements of the sweep: leases that ran out, runs that ran over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED


@dataclass(frozen=True, slots=True)
class Lost:
    """A step whose worker went silent, and what became of it."""

    step_id: UUID
    run_id: UUID
    state: str
    losses: int
    owner: str


@participant
def expire_leases(*, most_losses: int) -> list[Lost]:
    """Take back leases that ran out: to the queue; to confirmation_unknown, when a mutation was
    under way that takes no key (one that can be looked up is asked about from there); and after
    ``most_losses`` workers to failed, or to confirmation_unknown when a mutation was under way.
    Fenced by clearing the token."""
    rows = fetch(
        """
        WITH dead AS (
            SELECT id, lease_owner, lease_losses + 1 >= %s AS poison,
                CASE WHEN intent_open AND idempotency <> 'keyed' THEN 'confirmation_unknown'
                     WHEN lease_losses + 1 >= %s AND intent_open THEN 'confirmation_unknown'
                     WHEN lease_losses + 1 >= %s THEN 'failed'
                     ELSE 'queued' END AS next
            FROM runs_step WHERE state = 'running' AND lease_until < clock_timestamp()
            FOR UPDATE SKIP LOCKED
        ), attempts AS (
            UPDATE runs_attempt a SET ended_at = clock_timestamp(), outcome = 'lease_lost',
                error_class = 'lease_lost', error = 'the worker went silent'
            FROM dead WHERE a.step_id = dead.id AND a.ended_at IS NULL
        )
        UPDATE runs_step s SET state = dead.next, lease_losses = s.lease_losses + 1,
            not_before = clock_timestamp(), lease_token = NULL, lease_until = NULL,
            lease_owner = '',
            disposition = CASE dead.next WHEN 'failed' THEN 'failed'
                WHEN 'confirmation_unknown' THEN 'unknown' ELSE '' END,
            error_class = CASE WHEN dead.poison THEN 'poison'
                WHEN dead.next = 'confirmation_unknown' THEN 'worker_lost' ELSE 'lease_lost' END,
            error = 'the worker went silent',
            finished_at = CASE WHEN dead.next = 'queued' THEN NULL ELSE clock_timestamp() END
        FROM dead WHERE s.id = dead.id
        RETURNING s.id, s.run_id, s.state, s.lease_losses, dead.lease_owner
        """,
        [most_losses] * 3,
    )
    return [Lost(*row) for row in rows]


@participant
def end_leases_of(process: str) -> int:
    """Let the leases of a process that is known to be dead run out now; ``process`` is what the
    names of its drains begin with. Returns how many it had."""
    return execute(
        "UPDATE runs_step SET lease_until = clock_timestamp() WHERE state = 'running'"
        " AND starts_with(lease_owner, %s) AND lease_until > clock_timestamp()",
        [process],
    )


@participant
def mark_unknown_runs(run_ids: Sequence[UUID]) -> list[UUID]:
    """A run with an unknown step is itself unknown until a person says. Returns those that became
    so."""
    rows = fetch(
        "UPDATE runs_run SET state = 'confirmation_unknown', error_class = 'unknown'"
        " WHERE id = ANY(%s) AND state = 'running' RETURNING id",
        [list(run_ids)],
    )
    return [row[0] for row in rows]


@participant
def fail_runs(run_ids: Sequence[UUID], *, error_class: str) -> list[UUID]:
    """End runs whose step can't go on. Returns those that ended with this."""
    rows = fetch(
        "UPDATE runs_run SET state = 'failed', outcome = 'error', error_class = %s,"
        " finished_at = clock_timestamp() WHERE id = ANY(%s)"
        " AND state IN ('queued', 'running') RETURNING id",
        [error_class, list(run_ids)],
    )
    return [row[0] for row in rows]


@participant
def waiting_approvals(*, limit: int = 2000) -> list[UUID]:
    """The approvals that steps are waiting for, longest first."""
    rows = fetch(
        "SELECT approval_id FROM runs_step WHERE state = 'waiting_approval'"
        " AND approval_id IS NOT NULL ORDER BY gated_at LIMIT %s",
        [limit],
    )
    return [row[0] for row in rows]


@participant
def end_overdue(*, limit: int = 500) -> tuple[list[UUID], list[tuple[UUID, UUID]]]:
    """Fail runs past their deadline that have no call under way, nor one that may have happened and
    is tried again, with their waiting steps. Returns the runs, and the steps with their runs."""
    rows = fetch(
        f"""
        UPDATE runs_run r SET state = 'failed', outcome = 'timed_out', error_class = 'deadline',
            summary = 'The deadline of the run passed.', finished_at = clock_timestamp()
        WHERE r.id IN (
            SELECT id FROM runs_run
            WHERE state IN ('accepted', 'queued', 'running', 'waiting_approval')
              AND deadline_at < clock_timestamp()
              AND NOT EXISTS (SELECT FROM runs_step s WHERE s.run_id = runs_run.id
                  AND (s.state = 'running'
                    OR (s.intent_open AND (s.state <> 'queued' OR {MAY_HAVE_HAPPENED}))))
            LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING r.id
        """,  # noqa: S608  # a constant condition, no input
        [limit],
    )
    ids = [row[0] for row in rows]
    steps = fetch(
        "UPDATE runs_step SET state = 'failed', disposition = 'failed',"
        " error_class = 'deadline', error = 'the deadline of the run passed', intent_open = false,"
        " finished_at = clock_timestamp()"
        " WHERE run_id = ANY(%s) AND state IN ('queued', 'waiting_approval')"
        " RETURNING id, run_id",
        [ids],
    )
    return ids, [(row[0], row[1]) for row in steps]


@participant
def fenced(step_ids: Sequence[UUID], tokens: Sequence[int]) -> list[tuple[UUID, UUID, int]]:
    """Of leases under which a result came too late to be written, those that were taken back: step,
    run and token. The others are our own, of a commit that is repeated because its reply was
    lost."""
    rows = fetch(
        "SELECT step_id, run_id, lease_token FROM runs_attempt WHERE step_id = ANY(%s)"
        " AND lease_token = ANY(%s) AND outcome = 'lease_lost'",
        [list(step_ids), list(tokens)],
    )
    return [(row[0], row[1], row[2]) for row in rows]
