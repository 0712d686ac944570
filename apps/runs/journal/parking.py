"""Statements that put steps aside while their run is paused, and that give leases back.

The race: a run is paused while a worker claims, retries or wakes a step of it. The pause first
takes the run's row, then parks what is queued; whatever is queued by a transaction that didn't see
the pause yet is met by the engine's barrier when it is claimed, and parked there. The other way
round, a step that the barrier parks while the run is resumed is let go by the next sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.journal import execute, fetch
from apps.runs.models import PARKED_UNTIL
from apps.runs.work import Claimed


@participant
def park_run(run_id: UUID) -> int:
    """Park the queued steps of a run. One that waits for its next attempt keeps its time: should it
    come while the run is paused, the barrier parks it. Returns how many were parked."""
    return execute(
        "UPDATE runs_step SET not_before = %s, waits_for = %s"
        " WHERE run_id = %s AND state = 'queued'"
        " AND (not_before <= clock_timestamp() OR not_before >= %s)",
        [PARKED_UNTIL, WAITS_FOR_RESUME, run_id, PARKED_UNTIL],
    )


@participant
def unpark_run(run_id: UUID) -> list[str]:
    """Let the parked steps of a run go on. Returns their lanes."""
    rows = fetch(
        "UPDATE runs_step SET not_before = clock_timestamp(), waits_for = ''"
        " WHERE run_id = %s AND state = 'queued' AND waits_for = %s RETURNING lane",
        [run_id, WAITS_FOR_RESUME],
    )
    return [row[0] for row in rows]


def resumed(*, besides: Sequence[UUID]) -> list[UUID]:
    """Steps that are parked for a pause which has ended meanwhile, some left out."""
    rows = fetch(
        "SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id"
        " WHERE s.state = 'queued' AND s.not_before >= %s AND s.waits_for = %s"
        " AND r.paused_at IS NULL AND s.id <> ALL(%s) ORDER BY s.id",
        [PARKED_UNTIL, WAITS_FOR_RESUME, list(besides)],
    )
    return [row[0] for row in rows]


@participant
def unpark(step_ids: Sequence[UUID]) -> list[UUID]:
    """Let those of these steps go on whose run isn't paused. Returns which."""
    rows = fetch(
        "UPDATE runs_step s SET not_before = clock_timestamp(), waits_for = ''"
        " WHERE s.id = ANY(%s) AND s.state = 'queued' AND s.waits_for = %s"
        # Paused again since they were looked for: then they stay.
        " AND EXISTS (SELECT FROM runs_run r WHERE r.id = s.run_id AND r.paused_at IS NULL)"
        " RETURNING s.id",
        [list(step_ids), WAITS_FOR_RESUME],
    )
    return [row[0] for row in rows]


@participant
def drop_cancelled(works: Sequence[Claimed]) -> list[Claimed]:
    """Of steps that we held and that have caused nothing yet, end those whose run was cancelled
    meanwhile. Returns those of the others that are still ours, locked: their lease may have run out
    meanwhile, or a commit have held them whose reply was lost, and then nobody is to be asked about
    them, and no approval used up, in our name."""
    if not works:
        return []
    tokens = [w.lease_token for w in works]
    # Whoever cancelled the run left steps at work to us; of those only ones under our tokens.
    execute(
        """
        UPDATE runs_step s SET state = 'cancelled', disposition = 'cancelled',
            finished_at = clock_timestamp(), lease_token = NULL, lease_until = NULL,
            lease_owner = ''
        FROM runs_run r WHERE r.id = s.run_id AND r.state = 'cancelled'
          AND s.lease_token = ANY(%s) AND s.state = 'running' AND NOT s.intent_open
        """,
        [tokens],
    )
    rows = fetch(
        "SELECT lease_token FROM runs_step WHERE id = ANY(%s) AND lease_token = ANY(%s)"
        " AND state = 'running' ORDER BY id FOR UPDATE",
        [[w.step_id for w in works], tokens],
    )
    ours = {row[0] for row in rows}
    return [w for w in works if w.lease_token in ours]


@participant
def release(owner: str) -> list[tuple[UUID, UUID, str]]:
    """Give back the steps that ``owner`` holds and that have caused nothing, so that others take
    them at once; a mutation that was intended keeps its lease until it runs out, because only then
    is it certain that its caller is gone. Returns (step, run, lane) of those given back."""
    # Guarded by the intent: a mutation that was begun meanwhile isn't given back.
    rows = fetch(
        """
        WITH back AS (
            UPDATE runs_step s SET state = 'queued', lease_token = NULL, lease_until = NULL,
                lease_owner = '', not_before = clock_timestamp()
            WHERE s.lease_owner = %s AND s.state = 'running' AND NOT s.intent_open
            RETURNING s.id, s.run_id, s.lane
        ), attempts AS (
            UPDATE runs_attempt a SET ended_at = clock_timestamp(), outcome = 'released',
                error_class = 'released', error = 'the worker was told to stop'
            FROM back WHERE a.step_id = back.id AND a.ended_at IS NULL
        )
        SELECT id, run_id, lane FROM back
        """,
        [owner],
    )
    return [(row[0], row[1], row[2]) for row in rows]
