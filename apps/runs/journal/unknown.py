"""Statements about steps of which nobody knows whether they happened.

The races: two people, or a person and the tower's own look-up, resolve the same step. Each first
locks it *as unknown in this round*; whoever comes second finds no such row. A run's cancellation
takes the run's row: reopening it then hits none, and the step is settled without going on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.domain.finding import look_again_s
from apps.runs.journal import execute, fetch, to_json
from apps.runs.models import PARKED_UNTIL


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unknown step under our lock."""

    step_id: UUID
    run_id: UUID
    seq: int
    tool_name: str
    key: str
    lane: str
    in_time: bool


@participant
def lock(step_id: UUID, round_number: int) -> Unknown | None:
    """Lock a step that is unknown in this round; ``None`` when it is so no more."""
    # Of a person, the sweep and a late answer the first settles it; the round keeps out whoever
    # looked at an earlier attempt.
    rows = fetch(
        """
        SELECT s.id, s.run_id, s.seq, s.tool_name, s.idempotency_key, s.lane,
            r.deadline_at > clock_timestamp() OR s.compensates_id IS NOT NULL
        FROM runs_step s JOIN runs_run r ON r.id = s.run_id
        WHERE s.id = %s AND s.state = 'confirmation_unknown' AND s.attempts_made = %s
        FOR UPDATE OF s
        """,
        [step_id, round_number],
    )
    return Unknown(*rows[0]) if rows else None


def _hit_one(sql: str, params: Sequence[Any]) -> None:
    if execute(sql, params) != 1:
        raise RuntimeError("a step that was locked as unknown isn't unknown")


@participant
def settle(
    step_id: UUID, *, state: str, disposition: str, result: Any, error_class: str, error: str
) -> None:
    """End an unknown step that we have locked."""
    answer = None if result is None else to_json(result)
    _hit_one(
        """
        UPDATE runs_step SET state = %s, disposition = %s, result = %s::jsonb, error_class = %s,
            error = %s, intent_open = false, finished_at = clock_timestamp()
        WHERE id = %s AND state = 'confirmation_unknown'
        """,
        [state, disposition, answer, error_class, error, step_id],
    )


@participant
def queue_again(step_id: UUID, *, edited_from: UUID | None) -> None:
    """Put an unknown step that we have locked back before the gate, as if it were proposed now: no
    decision, approval or ownership of its mutation is left. Its attempts and its key stay, and of
    one that a person edited the question that this ended: the gate still puts it to a person."""
    execute("DELETE FROM runs_intent WHERE step_id = %s", [step_id])
    _hit_one(
        """
        UPDATE runs_step SET state = 'queued', disposition = '', error_class = '', error = '',
            gate = '', decision_id = NULL, approval_id = %s, intent_open = false,
            lease_losses = 0, blame = 0, finished_at = NULL, not_before = clock_timestamp(),
            priority = least(priority, 10)
        WHERE id = %s AND state = 'confirmation_unknown'
        """,
        [edited_from, step_id],
    )


@participant
def reopen_run(run_id: UUID, state: str) -> bool:
    """Let a run that was unknown go on; not one that was cancelled meanwhile."""
    hit = execute(
        "UPDATE runs_run SET state = %s, error_class = '' WHERE id = %s"
        " AND state = 'confirmation_unknown'",
        [state, run_id],
    )
    return hit == 1


@participant
def take_for_look_up(tool_version_ids: Sequence[int], *, limit: int) -> list[UUID]:
    """The unknown steps of these tools that are to be looked up now; each is counted and given its
    next time, twice as far off as the one before, until it has been asked about often enough.
    Several sweepers share the work."""
    # Skipped are those that another sweep takes at this moment; later ones see the new time.
    rows = fetch(
        """
        WITH due AS (
            SELECT id, attempts_made FROM runs_step WHERE state = 'confirmation_unknown'
              AND not_before <= clock_timestamp() AND tool_version_id = ANY(%(versions)s)
            ORDER BY not_before LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        )
        INSERT INTO runs_lookup (step_id, round, tries, word, said, at)
        SELECT id, attempts_made, 1, '', '', clock_timestamp() FROM due
        ON CONFLICT (step_id) DO UPDATE SET round = excluded.round, at = excluded.at,
            tries = CASE WHEN runs_lookup.round = excluded.round
                THEN runs_lookup.tries + 1 ELSE 1 END
        RETURNING step_id, tries
        """,
        {"versions": list(tool_version_ids), "limit": limit},
    )
    ids = [step_id for step_id, _ in rows]
    execute(
        "UPDATE runs_step s SET not_before = coalesce(clock_timestamp()"
        " + make_interval(secs => v.wait_s), %s)"
        " FROM unnest(%s::uuid[], %s::float[]) AS v(id, wait_s) WHERE s.id = v.id",
        [PARKED_UNTIL, ids, [look_again_s(tries) for _, tries in rows]],
    )
    return ids


@participant
def note_look_up(step_id: UUID, round_number: int, word: str, said: str) -> None:
    """Keep what the last look-up of the tower's own came to."""
    execute(
        "UPDATE runs_lookup SET word = %s, said = %s, at = clock_timestamp()"
        " WHERE step_id = %s AND round = %s",
        [word, said[:500], step_id, round_number],
    )
