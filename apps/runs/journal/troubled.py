"""Statements about a step that makes trouble: it is ended without reading or writing anything that
came from outside.

The race: another worker claims, cancels or takes the step back meanwhile. ``take`` skips what is
locked or not queued any more; a leased step is ended under its fencing token like any other.
"""

from __future__ import annotations

from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch
from apps.runs.journal.claiming import as_claimed, columns_read, lease
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED
from apps.runs.work import Claimed

# What came from outside isn't read, nor what nobody needs to end the step.
_BARE = columns_read(
    arguments="'{}'",
    arguments_digest="''",
    approval_id="NULL::uuid",
    agent_label="''",
    customer="''",
    context="'{}'",
    deadline_at="timestamptz '9000-01-01'",
    steps_total="s.seq",
    unreadable="''",
)
_TAKE = f"""
    SELECT {_BARE} FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    WHERE s.id = %s AND s.state = 'queued' FOR UPDATE OF s SKIP LOCKED
"""  # noqa: S608  # constants, no input
_MAY_HAVE_HAPPENED = f"SELECT {MAY_HAVE_HAPPENED} FROM runs_step s WHERE s.id = %s"  # noqa: S608  # a constant condition, no input


@participant
def take(step_id: UUID, *, owner: str, lease_s: float) -> Claimed | None:
    """Lease a queued step without reading anything that came from outside; ``None`` when somebody
    else has it by now."""
    rows = fetch(_TAKE, [step_id])  # locked by another claimer: skipped, it is theirs
    if not rows:
        return None
    held = lease([as_claimed(rows[0])], owner=owner, lease_s=lease_s)
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
