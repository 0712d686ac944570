"""Statements about poison: steps that took several workers with them, each time alone."""

from __future__ import annotations

from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.domain.suspicion import ALONE
from apps.runs.journal import execute, fetch


@participant
def lock(run_id: UUID, seq: int) -> tuple[UUID, int, str, bool] | None:
    """Lock a poison step of a run that failed by it. Returns its id, how many workers it took, its
    lane, and whether its run is still in time; ``None`` when there is no such step now."""
    # Of two people the second waits here, and then finds it poison no more.
    rows = fetch(
        """
        SELECT s.id, s.lease_losses, s.lane, r.deadline_at > clock_timestamp()
        FROM runs_step s JOIN runs_run r ON r.id = s.run_id
        WHERE s.run_id = %s AND s.seq = %s AND s.state = 'failed' AND s.error_class = 'poison'
          AND r.state = 'failed' AND r.error_class = 'poison'
        FOR UPDATE
        """,
        [run_id, seq],
    )
    return rows[0] if rows else None  # type: ignore[return-value]  # the columns above


@participant
def queue_again(step_id: UUID, *, edited_from: UUID | None) -> None:
    """Put a poison step that we have locked back before the gate, with its run. It stays a suspect:
    it is tried alone, and takes three more workers at most before it is poison again. Of one that a
    person edited the question that this ended stays: the gate still puts it to a person."""
    execute(
        """
        UPDATE runs_step SET state = 'queued', disposition = '', error_class = '', error = '',
            gate = '', decision_id = NULL, approval_id = %s, lease_losses = %s, blame = 0,
            finished_at = NULL, not_before = clock_timestamp(), waits_for = ''
        WHERE id = %s AND state = 'failed'
        """,
        [edited_from, ALONE.low, step_id],
    )
    execute(
        "UPDATE runs_run r SET state = 'queued', outcome = '', error_class = '', summary = '',"
        " finished_at = NULL FROM runs_step s WHERE s.id = %s AND r.id = s.run_id"
        " AND r.state = 'failed'",
        [step_id],
    )
