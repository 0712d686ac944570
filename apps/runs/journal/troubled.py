"""Statements about a step that makes trouble: it is ended without reading or writing anything that
came from outside.

The race: another worker claims, cancels or takes the step back meanwhile. ``take`` skips what is
locked or not queued any more; a leased step is ended under its fencing token like any other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch
from apps.runs.journal.claiming import lease
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED
from apps.runs.work import Claimed

NEVER = datetime(9000, 1, 1, tzinfo=UTC)  # a deadline that nobody reads here
_TAKE = """
    SELECT s.id, s.run_id, s.seq, s.after_message, s.kind, s.tool_version_id, s.tool_name, s.effect,
        s.idempotency, s.idempotency_key, s.attempts_made, s.intent_open, s.lane, s.priority,
        r.contract_version_id, r.agent_version_id, r.agent_kind, r.domain_slug, r.job_slug,
        r.contract_number
    FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    WHERE s.id = %s AND s.state = 'queued' FOR UPDATE OF s SKIP LOCKED
"""
_MAY_HAVE_HAPPENED = f"SELECT {MAY_HAVE_HAPPENED} FROM runs_step s WHERE s.id = %s"  # noqa: S608  # a constant condition, no input


@participant
def take(step_id: UUID, *, owner: str, lease_s: float) -> Claimed | None:
    """Lease a queued step without reading anything that came from outside; ``None`` when somebody
    else has it by now."""
    rows = fetch(_TAKE, [step_id])  # locked by another claimer: skipped, it is theirs
    if not rows:
        return None
    row = rows[0]
    bare = Claimed(
        step_id=row[0],
        run_id=row[1],
        seq=row[2],
        after_message=row[3],
        kind=row[4],
        tool_version_id=row[5],
        tool_name=row[6],
        effect=row[7],
        idempotency=row[8],
        arguments={},
        arguments_digest="",
        idempotency_key=row[9],
        attempts_made=row[10],
        approval_id=None,
        intent_open=row[11],
        lane=row[12],
        priority=row[13],
        lease_token=0,
        contract_version_id=row[14],
        agent_version_id=row[15],
        agent_kind=row[16],
        agent_label="",
        domain_slug=row[17],
        job_slug=row[18],
        contract_number=row[19],
        customer="",
        context={},
        deadline_at=NEVER,
        steps_total=row[2],
    )
    held = lease([bare], owner=owner, lease_s=lease_s)
    return held[0] if held else None


@participant
def may_have_happened(step_id: UUID) -> bool:
    """Whether an earlier try of a mutation may have had its effect."""
    rows = fetch(_MAY_HAVE_HAPPENED, [step_id])
    return bool(rows and rows[0][0])


@participant
def end_run(run_id: UUID, *, state: str, error_class: str, summary: str) -> str:
    """End or stop a run that can't be carried on by what was read of it. Returns the state it has
    now: one that is over, or that is being undone, is left to whoever sees to that."""
    # Guarded by the state: a run that was cancelled or ended meanwhile stays as it is.
    moved = execute(
        "UPDATE runs_run SET state = %s, error_class = %s, summary = %s,"
        " outcome = CASE WHEN %s = 'failed' THEN 'error' ELSE outcome END,"
        " finished_at = CASE WHEN %s = 'failed' THEN clock_timestamp() END"
        " WHERE id = %s AND state IN ('running', 'queued')",
        [state, error_class, summary, state, state, run_id],
    )
    return state if moved else ""
