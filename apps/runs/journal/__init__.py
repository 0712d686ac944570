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
from uuid import UUID

from apps.kernel.statements import execute, fetch, names, record, to_json
from apps.kernel.statements import rows_as_json as _json
from apps.kernel.transactions import participant
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.domain.rows import (
    AskedStep,
    EndedAttempt,
    EndedStep,
    Gated,
    LongerScript,
    MovedRun,
    NewAttempt,
    NewMessage,
    NewReceipt,
    NewStep,
    Retry,
    TurnCost,
)
from apps.runs.journal import unsent
from apps.runs.journal.intents import free_intents, open_intents, owners_of, take_intents
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED
from apps.runs.models import PARKED_UNTIL
from apps.runs.work import Settled

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
def note_gate(rows: Sequence[Gated]) -> None:
    """Write what the gate answered."""
    if rows:
        execute(
            f"""
            UPDATE runs_step s SET gate = v.gate, decision_id = v.decision_id, facts = v.facts,
                preview = v.preview, gated_at = clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS {record(Gated)}
            WHERE s.id = v.step_id AND s.lease_token = v.lease_token
            """,  # noqa: S608  # the columns of a type, no input
            [_json(rows)],
        )


@participant
def open_attempts(rows: Sequence[NewAttempt]) -> None:
    """Write down that calls are about to be made. Committed before anything is sent."""
    if rows:
        # A commit whose reply was lost is repeated: its attempt is there, and is not made twice.
        execute(
            f"""
            INSERT INTO runs_attempt ({names(NewAttempt)}, started_at, outcome, error_class, error)
            SELECT {names(NewAttempt, of="v.")}, clock_timestamp(), '', '', ''
            FROM jsonb_to_recordset(%s::jsonb) AS {record(NewAttempt)}
            ON CONFLICT (step_id, number) DO NOTHING
            """,  # noqa: S608  # the columns of a type, no input
            [_json(rows)],
        )


@participant
def count_attempts(rows: Sequence[NewAttempt]) -> None:
    """Keep the number of attempts with steps that exist already."""
    if rows:
        execute(
            f"""
            UPDATE runs_step s SET attempts_made = v.number
            FROM jsonb_to_recordset(%s::jsonb) AS {record(NewAttempt)}
            WHERE s.id = v.step_id AND s.lease_token = v.lease_token
            """,  # noqa: S608  # the columns of a type, no input
            [_json(rows)],
        )


@participant
def hold(rows: Sequence[AskedStep]) -> set[UUID]:
    """Put steps and their runs into waiting_approval. No lease, worker or connection is held while
    a person thinks."""
    if not rows:
        return set()
    held = fetch(
        f"""
        UPDATE runs_step s SET state = 'waiting_approval', approval_id = v.approval_id,
            lease_token = NULL, lease_until = NULL, lease_owner = ''
        FROM jsonb_to_recordset(%s::jsonb) AS {record(AskedStep)}
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id, s.run_id
        """,  # noqa: S608  # the columns of a type, no input
        [_json(rows)],
    )
    execute(
        "UPDATE runs_run SET state = 'waiting_approval', had_hold = true"
        " WHERE id = ANY(%s) AND state = 'running'",
        [[row[1] for row in held]],
    )
    return {row[0] for row in held}


# --- recording ------------------------------------------------------------------------------------


_END_ATTEMPTS = f"""
    UPDATE runs_attempt a SET ended_at = clock_timestamp(), duration_ms = v.duration_ms,
        outcome = v.outcome, error_class = v.error_class, error = v.error,
        http_status = v.http_status
    FROM jsonb_to_recordset(%(attempts)s::jsonb) AS {record(EndedAttempt)}
    WHERE a.id = v.id AND a.ended_at IS NULL
"""  # noqa: S608  # the columns of a type, no input
_RECEIPTS = f"""
    INSERT INTO runs_receipt ({names(NewReceipt)}, received_at)
    SELECT {names(NewReceipt, of="v.")}, clock_timestamp()
    FROM jsonb_to_recordset(%(receipts)s::jsonb) AS {record(NewReceipt)}
"""  # noqa: S608  # the columns of a type, no input
# The token is the guard: a step whose lease was taken back has another, and keeps its state.
_SETTLE = f"""
    WITH tried AS ({_END_ATTEMPTS}), done AS (
        UPDATE runs_step s SET state = v.state, disposition = v.disposition,
            result = v.result, error_class = v.error_class, error = v.error,
            deduplicated_from = v.deduplicated_from, finished_at = clock_timestamp(),
            intent_open = (v.state = 'confirmation_unknown'),
            lease_token = NULL, lease_until = NULL, lease_owner = ''
        FROM jsonb_to_recordset(%(steps)s::jsonb) AS {record(EndedStep)}
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id
    ), kept AS ({_RECEIPTS} JOIN done ON done.id = v.step_id ON CONFLICT (step_id) DO NOTHING)
    SELECT id FROM done
"""  # noqa: S608  # the columns of types, no input


@participant
def close_attempts(rows: Sequence[EndedAttempt]) -> None:
    """End attempts."""
    if rows:
        execute(_END_ATTEMPTS, {"attempts": _json(rows)})


@participant
def settle(ended: Sequence[Settled]) -> set[UUID]:
    """End steps and the attempts that they ended with, and keep the receipts. Returns the steps
    that were still ours; the rest were fenced off, but their attempts have ended all the same."""
    if not ended:
        return set()
    done = fetch(
        _SETTLE,
        {
            "steps": _json(s.row() for s in ended),
            "attempts": _json(s.attempt for s in ended if s.attempt),
            "receipts": _json(s.receipt for s in ended if s.receipt),
        },
    )
    return {row[0] for row in done}


@participant
def requeue(rows: Sequence[Retry]) -> set[UUID]:
    """Give steps back to the queue for another try. Returns those that were still ours."""
    if not rows:
        return set()
    back = fetch(
        f"""
        UPDATE runs_step s SET state = 'queued',
            not_before = clock_timestamp() + make_interval(secs => v.delay_s),
            error_class = v.error_class, error = v.error, waits_for = v.waits_for,
            lease_token = NULL, lease_until = NULL, lease_owner = ''
        FROM jsonb_to_recordset(%s::jsonb) AS {record(Retry)}
        WHERE s.id = v.step_id AND s.lease_token = v.lease_token
        RETURNING s.id, s.run_id
        """,  # noqa: S608  # the columns of a type, no input
        [_json(rows)],
    )
    execute(
        "UPDATE runs_run SET retries = retries + 1 WHERE id = ANY(%s)",
        [[row[1] for row in back]],
    )
    return {row[0] for row in back}


@participant
def add_receipt(receipt: NewReceipt) -> None:
    """Keep the evidence of one step; what is kept already stays."""
    execute(f"{_RECEIPTS} ON CONFLICT (step_id) DO NOTHING", {"receipts": _json([receipt])})


# --- going on -------------------------------------------------------------------------------------


@participant
def add_messages(rows: Sequence[NewMessage]) -> None:
    """Append to conversations."""
    if rows:
        execute(
            f"""
            INSERT INTO runs_message ({names(NewMessage)}, at)
            SELECT {names(NewMessage, of="v.")}, clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS {record(NewMessage)}
            """,  # noqa: S608  # the columns of a type, no input
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
def lengthen_scripts(rows: Sequence[LongerScript]) -> None:
    """Append what live agents said to their scripts."""
    if rows:
        execute(
            f"""
            UPDATE runs_runscript c SET items = c.items || v.more
            FROM jsonb_to_recordset(%s::jsonb) AS {record(LongerScript)}
            WHERE c.run_id = v.run_id
            """,  # noqa: S608  # the columns of a type, no input
            [_json(rows)],
        )


_SPENT = """tokens_in = r.tokens_in + v.tokens_in, tokens_out = r.tokens_out + v.tokens_out,
    cost_microusd = CASE WHEN v.cost_microusd IS NULL THEN r.cost_microusd
        ELSE coalesce(r.cost_microusd, 0) + v.cost_microusd END"""


@participant
def add_spent(rows: Sequence[TurnCost]) -> None:
    """Add what turns cost that came to nothing to their runs."""
    if rows:
        execute(
            f"""
            UPDATE runs_run r SET {_SPENT}
            FROM jsonb_to_recordset(%s::jsonb) AS {record(TurnCost)}
            WHERE r.id = v.run_id
            """,  # noqa: S608  # the columns of a type, no input
            [_json(rows)],
        )


_MOVE = f"""
    UPDATE runs_run r SET state = v.state, outcome = v.outcome, error_class = v.error_class,
        summary = v.summary, steps_total = v.steps_total, cursor = v.cursor,
        has_violation = r.has_violation OR v.has_violation, degraded = r.degraded OR v.degraded,
        {_SPENT},
        finished_at = CASE WHEN v.state IN ('succeeded', 'failed', 'cancelled', 'shed')
            THEN clock_timestamp() ELSE r.finished_at END
    FROM jsonb_to_recordset(%s::jsonb) AS {record(MovedRun)}
    WHERE r.id = v.run_id
      AND r.state || '' IN ('accepted', 'queued', 'running', 'waiting_approval')
    RETURNING r.id
"""  # noqa: S608  # the columns of a type, no input


@participant
def update_runs(rows: Sequence[MovedRun]) -> set[UUID]:
    """Move runs on. A run that was cancelled meanwhile is left alone. Returns the runs that were
    moved."""
    return {row[0] for row in fetch(_MOVE, [_json(rows)])} if rows else set()


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
