"""Every multi-row statement of the hot path, in one place.

All functions are participants of the engine's one transaction and take many rows at once, so that
a batch of steps costs a handful of statements. Rows travel as one JSON parameter
(``jsonb_to_recordset``). Only the database's clock is read: leases, due times and expiry compare
with ``clock_timestamp()``.

The races: a step is claimed with ``FOR UPDATE SKIP LOCKED`` and gets a fencing token from a
sequence; each later write names that token and hits no row when the lease has passed to another
worker. A mutation is owned through the unique (run, key) of ``runs_intent``, where the run is the
root of its lineage: of all branches of a run only one owns a mutation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.kernel.statements import (
    Row,
    execute,
    fetch,
    names,
    record,
    to_json,
)
from apps.kernel.statements import rows_as_json as _json
from apps.kernel.transactions import participant
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.domain.rows import NewStep
from apps.runs.journal import unsent
from apps.runs.journal.intents import free_intents, open_intents, owners_of, take_intents
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED
from apps.runs.models import PARKED_UNTIL

__all__ = [  # for the other modules of this room, and those that know the room only
    "execute",
    "fetch",
    "free_intents",
    "open_intents",
    "owners_of",
    "take_intents",
    "to_json",
]


# --- leases --------------------------------------------------------------------------------------


@participant
def renew(tokens: Sequence[int], *, lease_s: float) -> int:
    """Push the leases that are still ours into the future. Returns how many still were."""
    return execute(
        "UPDATE runs_step SET lease_until = clock_timestamp() + make_interval(secs => %s)"
        " WHERE lease_token = ANY(%s) AND state = 'running'",
        [lease_s, list(tokens)],
    )


# --- deciding -------------------------------------------------------------------------------------


@participant
def note_gate(rows: Sequence[Row]) -> None:
    """Write what the gate answered: rows of step_id, lease_token, gate, decision_id, facts,
    preview."""
    if rows:
        execute(
            """
            UPDATE runs_step s SET gate = v.gate, decision_id = v.decision_id, facts = v.facts,
                preview = v.preview, gated_at = clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, lease_token bigint, gate text,
                decision_id uuid, facts jsonb, preview jsonb)
            WHERE s.id = v.step_id AND s.lease_token = v.lease_token
            """,
            [_json(rows)],
        )


@participant
def open_attempts(rows: Sequence[Row]) -> None:
    """Write down that calls are about to be made: rows of id, step_id, run_id, number,
    lease_token, worker. Committed before anything is sent."""
    if rows:
        # A commit whose reply was lost is repeated: its attempt is there, and is not made twice.
        execute(
            """
            INSERT INTO runs_attempt (id, step_id, run_id, number, lease_token, worker, started_at,
                outcome, error_class, error)
            SELECT v.id, v.step_id, v.run_id, v.number, v.lease_token, v.worker, clock_timestamp(),
                '', '', ''
            FROM jsonb_to_recordset(%s::jsonb) AS v(id uuid, step_id uuid, run_id uuid,
                number smallint, lease_token bigint, worker text)
            ON CONFLICT (step_id, number) DO NOTHING
            """,
            [_json(rows)],
        )


@participant
def count_attempts(rows: Sequence[Row]) -> None:
    """Keep the number of attempts with steps that exist already: rows of step_id, number,
    lease_token."""
    if rows:
        execute(
            """
            UPDATE runs_step s SET attempts_made = v.number
            FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, number smallint,
                lease_token bigint)
            WHERE s.id = v.step_id AND s.lease_token = v.lease_token
            """,
            [_json(rows)],
        )


@participant
def hold(rows: Sequence[Row]) -> set[UUID]:
    """Put steps and their runs into waiting_approval: rows of step_id, run_id, lease_token,
    approval_id. No lease, worker or connection is held while a person thinks."""
    if not rows:
        return set()
    held = fetch(
        """
        UPDATE runs_step s SET state = 'waiting_approval', approval_id = v.approval_id,
            lease_token = NULL, lease_until = NULL, lease_owner = ''
        FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, run_id uuid, lease_token bigint,
            approval_id uuid)
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id, s.run_id
        """,
        [_json(rows)],
    )
    execute(
        "UPDATE runs_run SET state = 'waiting_approval', had_hold = true"
        " WHERE id = ANY(%s) AND state = 'running'",
        [[row[1] for row in held]],
    )
    return {row[0] for row in held}


# --- recording ------------------------------------------------------------------------------------


@participant
def close_attempts(rows: Sequence[Row]) -> None:
    """End attempts: rows of attempt_id, duration_ms, outcome, attempt_error_class, attempt_error,
    http_status."""
    if rows:
        execute(
            """
            UPDATE runs_attempt a SET ended_at = clock_timestamp(), duration_ms = v.duration_ms,
                outcome = v.outcome, error_class = v.attempt_error_class,
                error = v.attempt_error, http_status = v.http_status
            FROM jsonb_to_recordset(%s::jsonb) AS v(attempt_id uuid, duration_ms float,
                outcome text, attempt_error_class text, attempt_error text, http_status smallint)
            WHERE a.id = v.attempt_id AND a.ended_at IS NULL
            """,
            [_json(rows)],
        )


@participant
def settle(rows: Sequence[Row]) -> set[UUID]:
    """End steps, the attempts that they ended with, and keep the receipts: rows of step_id,
    lease_token, state, disposition, result, error_class, error, deduplicated_from; where an attempt
    ended, attempt_id, duration_ms, outcome, attempt_error_class, attempt_error, http_status; where
    there is a receipt, run_id, idempotency_key, provider_ref, response_digest, evidence, note.
    Returns the steps that were still ours; the rest were fenced off, but their attempts have ended
    all the same."""
    if not rows:
        return set()
    # The token is the guard: a step whose lease was taken back has another, and keeps its state.
    done = fetch(
        """
        WITH v AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, lease_token bigint,
                state text, disposition text, result jsonb, error_class text, error text,
                deduplicated_from uuid, attempt_id uuid, duration_ms float, outcome text,
                attempt_error_class text, attempt_error text, http_status smallint,
                run_id uuid, idempotency_key text, provider_ref text, response_digest text,
                evidence text, note text)
        ), tried AS (
            UPDATE runs_attempt a SET ended_at = clock_timestamp(), duration_ms = v.duration_ms,
                outcome = v.outcome, error_class = v.attempt_error_class,
                error = v.attempt_error, http_status = v.http_status
            FROM v WHERE a.id = v.attempt_id AND a.ended_at IS NULL
        ), done AS (
            UPDATE runs_step s SET state = v.state, disposition = v.disposition,
                result = v.result, error_class = v.error_class, error = v.error,
                deduplicated_from = v.deduplicated_from, finished_at = clock_timestamp(),
                intent_open = (v.state = 'confirmation_unknown'),
                lease_token = NULL, lease_until = NULL, lease_owner = ''
            FROM v WHERE s.id = v.step_id AND s.lease_token = v.lease_token
            RETURNING s.id, v.run_id, v.idempotency_key, v.provider_ref, v.response_digest,
                v.evidence, v.note
        ), kept AS (
            INSERT INTO runs_receipt (step_id, run_id, idempotency_key, provider_ref,
                response_digest, evidence, note, received_at)
            SELECT id, run_id, idempotency_key, provider_ref, response_digest, evidence,
                coalesce(note, ''), clock_timestamp()
            FROM done WHERE response_digest IS NOT NULL
            ON CONFLICT (step_id) DO NOTHING
        )
        SELECT id FROM done
        """,
        [_json(rows)],
    )
    return {row[0] for row in done}


@participant
def requeue(rows: Sequence[Row]) -> set[UUID]:
    """Give steps back to the queue for another try: rows of step_id, lease_token, delay_s,
    error_class, error, and waits_for where more than the pause is waited for."""
    if not rows:
        return set()
    back = fetch(
        """
        UPDATE runs_step s SET state = 'queued',
            not_before = clock_timestamp() + make_interval(secs => v.delay_s),
            error_class = v.error_class, error = v.error, waits_for = coalesce(v.waits_for, ''),
            lease_token = NULL, lease_until = NULL, lease_owner = ''
        FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, lease_token bigint, delay_s float,
            error_class text, error text, waits_for text)
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id, s.run_id
        """,
        [_json(rows)],
    )
    execute(
        "UPDATE runs_run SET retries = retries + 1 WHERE id = ANY(%s)",
        [[row[1] for row in back]],
    )
    return {row[0] for row in back}


@participant
def add_receipts(rows: Sequence[Row]) -> None:
    """Keep the evidence: rows of step_id, run_id, idempotency_key, provider_ref, response_digest,
    evidence and, if anything was odd about the answer, note."""
    if rows:
        execute(
            """
            INSERT INTO runs_receipt (step_id, run_id, idempotency_key, provider_ref,
                response_digest, evidence, note, received_at)
            SELECT v.step_id, v.run_id, v.idempotency_key, v.provider_ref, v.response_digest,
                v.evidence, coalesce(v.note, ''), clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS v(step_id uuid, run_id uuid,
                idempotency_key text, provider_ref text, response_digest text, evidence text,
                note text)
            ON CONFLICT (step_id) DO NOTHING
            """,
            [_json(rows)],
        )


# --- going on -------------------------------------------------------------------------------------


@participant
def add_messages(rows: Sequence[Row]) -> None:
    """Append to conversations: rows of run_id, seq, role, content."""
    if rows:
        execute(
            """
            INSERT INTO runs_message (run_id, seq, role, content, at)
            SELECT v.run_id, v.seq, v.role, v.content, clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS v(run_id uuid, seq int, role text, content text)
            """,
            [_json(rows)],
        )


_AS_GIVEN = {"wait_s", "lease_token"}  # of a new step: these are made into others
_ADD_STEPS = f"""
    INSERT INTO runs_step ({names(NewStep, but=_AS_GIVEN)}, state, not_before, lease_token,
        lease_until, lease_owner, started_at, created_at, gated_at, lease_losses, disposition)
    SELECT {names(NewStep, but=_AS_GIVEN, of="v.")},
        CASE WHEN leased THEN 'running' ELSE 'queued' END,
        coalesce(now.at + make_interval(secs => v.wait_s), %(for_ever)s),
        CASE WHEN leased THEN coalesce(v.lease_token, nextval('runs_fencing_token')) END,
        CASE WHEN leased THEN now.at + make_interval(secs => %(lease_s)s) END,
        CASE WHEN leased THEN %(owner)s ELSE '' END,
        CASE WHEN leased THEN now.at END,
        now.at, CASE WHEN v.gate <> '' THEN now.at END, 0, ''
    FROM (SELECT clock_timestamp() AS at) now,
        jsonb_to_recordset(%(rows)s::jsonb) AS {record(NewStep)},
        LATERAL (SELECT %(leased)s AND v.waits_for = '' AS leased) l
    RETURNING id, lease_token
"""  # noqa: S608  # the columns of a type, no input


@participant
def take_tokens(count: int) -> list[int]:
    """Fencing tokens for steps that are about to be leased. Equality is all that fences."""
    rows = fetch("SELECT nextval('runs_fencing_token') FROM generate_series(1, %s)", [count])
    return [row[0] for row in rows]


@participant
def add_steps(rows: Sequence[NewStep], *, owner: str, lease_s: float | None) -> dict[UUID, int]:
    """Insert steps: leased to ``owner`` at once where ``lease_s`` is given (record N and claim
    N+1 in one commit), queued otherwise, as is one that ``waits_for`` something (looked at again
    after ``wait_s``; ``None``: when it is let go). A row may bring its token, what the gate said,
    that its first attempt and its intent were opened, and why nobody can carry it out. Returns the
    token of each leased step."""
    if not rows:
        return {}
    inserted = fetch(
        _ADD_STEPS,
        {
            "leased": lease_s is not None,
            "lease_s": lease_s or 0.0,
            "owner": owner,
            "for_ever": PARKED_UNTIL,
            "rows": _json(rows),
        },
    )
    return {row[0]: row[1] for row in inserted if row[1] is not None}


@participant
def lengthen_scripts(rows: Sequence[Row]) -> None:
    """Append what live agents said to their scripts: rows of run_id, more."""
    if rows:
        execute(
            """
            UPDATE runs_runscript c SET items = c.items || v.more
            FROM jsonb_to_recordset(%s::jsonb) AS v(run_id uuid, more jsonb)
            WHERE c.run_id = v.run_id
            """,
            [_json(rows)],
        )


@participant
def add_spent(rows: Sequence[dict[str, Any]]) -> None:
    """Add what turns cost that came to nothing to their runs: run_id, tokens_in, tokens_out,
    cost_microusd."""
    if rows:
        execute(
            """
            UPDATE runs_run r SET tokens_in = r.tokens_in + v.tokens_in,
                tokens_out = r.tokens_out + v.tokens_out,
                cost_microusd = CASE WHEN v.cost_microusd IS NULL THEN r.cost_microusd
                    ELSE coalesce(r.cost_microusd, 0) + v.cost_microusd END
            FROM jsonb_to_recordset(%s::jsonb) AS v(run_id uuid, tokens_in bigint,
                tokens_out bigint, cost_microusd bigint)
            WHERE r.id = v.run_id
            """,
            [_json(rows)],
        )


@participant
def update_runs(rows: Sequence[Row]) -> set[UUID]:
    """Move runs on: rows of run_id, state, outcome, error_class, summary, steps_total, cursor,
    has_violation, tokens_in, tokens_out, cost_microusd. A run that was cancelled meanwhile is left
    alone. Returns the runs that were moved."""
    if not rows:
        return set()
    moved = fetch(
        """
        UPDATE runs_run r SET state = v.state, outcome = v.outcome, error_class = v.error_class,
            summary = v.summary, steps_total = v.steps_total, cursor = coalesce(v.cursor, r.cursor),
            has_violation = r.has_violation OR v.has_violation,
            degraded = r.degraded OR coalesce(v.degraded, false),
            tokens_in = r.tokens_in + v.tokens_in, tokens_out = r.tokens_out + v.tokens_out,
            cost_microusd = CASE WHEN v.cost_microusd IS NULL THEN r.cost_microusd
                ELSE coalesce(r.cost_microusd, 0) + v.cost_microusd END,
            finished_at = CASE WHEN v.state IN ('succeeded', 'failed', 'cancelled', 'shed')
                THEN clock_timestamp() ELSE r.finished_at END
        FROM jsonb_to_recordset(%s::jsonb) AS v(run_id uuid, state text, outcome text,
            error_class text, summary text, steps_total int, cursor int, has_violation boolean,
            degraded boolean,
            tokens_in bigint, tokens_out bigint, cost_microusd bigint)
        WHERE r.id = v.run_id
          AND r.state || '' IN ('accepted', 'queued', 'running', 'waiting_approval')
        RETURNING r.id
        """,
        [_json(rows)],
    )
    return {row[0] for row in moved}


@participant
def wake(approval_ids: Sequence[UUID]) -> list[str]:
    """Queue the steps that wait for these approvals, ahead of ordinary work: somebody has waited
    already. Returns their lanes."""
    rows = fetch(
        """
        UPDATE runs_step s SET state = 'queued', priority = least(s.priority, 10),
            not_before = CASE WHEN r.paused_at IS NULL THEN clock_timestamp() ELSE %s END,
            waits_for = CASE WHEN r.paused_at IS NULL THEN '' ELSE %s END
        FROM runs_run r WHERE r.id = s.run_id
          AND s.approval_id = ANY(%s) AND s.state = 'waiting_approval' RETURNING s.lane
        """,
        [PARKED_UNTIL, WAITS_FOR_RESUME, list(approval_ids)],
    )
    return [row[0] for row in rows]


@participant
def cancel_waiting_steps(run_id: UUID) -> list[UUID]:
    """Cancel the steps of a run that nobody is carrying out at this moment; returns them."""
    rows = fetch(
        "UPDATE runs_step s SET state = 'cancelled', disposition = 'cancelled',"  # noqa: S608
        " finished_at = clock_timestamp(), intent_open = false"
        " WHERE run_id = %s AND state IN ('queued', 'waiting_approval')"
        f" AND NOT (intent_open AND {MAY_HAVE_HAPPENED}) RETURNING id",
        [run_id],
    )
    ids = [row[0] for row in rows]
    unsent.free(ids)
    return ids
