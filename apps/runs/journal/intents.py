"""Who owns a mutation: the unique (run, key) of ``runs_intent`` decides, where the run is the root
of its lineage."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.kernel.statements import execute, fetch, from_json, record
from apps.kernel.statements import rows_as_json as _json
from apps.kernel.transactions import participant
from apps.runs.domain.rows import NewIntent, Owner


@participant
def open_intents(rows: Sequence[NewIntent]) -> set[UUID]:
    """Take ownership of mutations. Returns the steps that own theirs, newly or from an earlier
    attempt; a step that is missing lost the mutation to another step of its run or of another
    branch, or lost its lease."""
    if not rows:
        return set()
    payload = _json(rows)
    # Of two steps with one key the unique (run, key) lets one in, in this transaction or after it;
    # in one order, so that two batches can't wait for each other.
    execute(
        f"""
        INSERT INTO runs_intent (run_id, key, step_id, approval_id, created_at)
        SELECT coalesce(r.root_id, r.id), v.key, v.step_id, v.approval_id, clock_timestamp()
        FROM jsonb_to_recordset(%s::jsonb) AS {record(NewIntent)}
        JOIN runs_step s ON s.id = v.step_id AND s.lease_token = v.lease_token
        JOIN runs_run r ON r.id = s.run_id
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
        """,  # noqa: S608  # the columns of a type, no input
        [payload],
    )
    owned = fetch(
        f"""
        UPDATE runs_step s SET intent_open = true, idempotency_key = v.key
        FROM jsonb_to_recordset(%s::jsonb) AS {record(NewIntent)}
        JOIN runs_intent i ON i.step_id = v.step_id AND i.key = v.key
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id
        """,  # noqa: S608  # the columns of a type, no input
        [payload],
    )
    return {row[0] for row in owned}


@participant
def take_intents(rows: Sequence[NewIntent]) -> set[UUID]:
    """``open_intents`` for steps that are inserted later in this transaction, with the root of
    their run's lineage. Returns the steps that own theirs now."""
    if not rows:
        return set()
    # As above: of two steps with one key the unique (run, key) lets one in.
    taken = fetch(
        f"""
        INSERT INTO runs_intent (run_id, key, step_id, approval_id, created_at)
        SELECT v.root_id, v.key, v.step_id, v.approval_id, clock_timestamp()
        FROM jsonb_to_recordset(%s::jsonb) AS {record(NewIntent)}
        ORDER BY 1, 2 ON CONFLICT DO NOTHING RETURNING step_id
        """,  # noqa: S608  # the columns of a type, no input
        [_json(rows)],
    )
    return {row[0] for row in taken}


@participant
def free_intents(step_ids: Sequence[UUID]) -> None:
    """Give mutations back that the tool refused: nothing happened, so they may be proposed
    again."""
    if step_ids:
        execute("DELETE FROM runs_intent WHERE step_id = ANY(%s)", [list(step_ids)])


@participant
def owners_of(pairs: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], Owner]:
    """Who owns these mutations (run, key), if anybody does."""
    if not pairs:
        return {}
    rows = fetch(
        """
        SELECT v.run_id, v.key, s.id, s.run_id, s.seq, coalesce((SELECT
                CASE WHEN bool_or(u.state = 'succeeded') THEN 'compensated' ELSE 'compensating' END
                FROM runs_step u WHERE u.compensates_id = s.id HAVING count(*) > 0), s.state),
            s.disposition, s.result,
            s.idempotency, s.attempts_made
        FROM unnest(%s::uuid[], %s::text[]) AS v(run_id, key)
        JOIN runs_run r ON r.id = v.run_id
        JOIN runs_intent i ON i.run_id = coalesce(r.root_id, r.id) AND i.key = v.key
        JOIN runs_step s ON s.id = i.step_id
        """,
        [[run for run, _ in pairs], [key for _, key in pairs]],
    )
    return {
        (row[0], row[1]): Owner(*row[2:7], from_json(row[7]), *row[8:])  # the fields' order
        for row in rows
    }
