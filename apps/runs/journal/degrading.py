"""The mark on runs that a fallback serves: which, since which step, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.journal import fetch
from apps.runs.work import Settled


@participant
def note(ended: Sequence[Settled]) -> list[tuple[UUID, dict[str, Any]]]:
    """Mark the runs whose turn was served by another model than their agent's own, or by another
    one than the last time. Returns each run that was marked anew with what the audit log is told.
    Nothing is asked of the database when no turn was."""
    turns = [s for s in ended if s.thought and s.thought.degraded]
    if not turns:
        return []
    rows = fetch(
        """
        UPDATE runs_run r SET degraded = true, degraded_reason = v.reason, degraded_since = v.seq
        FROM unnest(%s::uuid[], %s::text[], %s::int[]) AS v(run_id, reason, seq)
        WHERE r.id = v.run_id AND r.degraded_reason <> v.reason
        RETURNING r.id, r.degraded_reason, r.degraded_since
        """,
        [
            [s.work.run_id for s in turns],
            [s.thought.degraded_reason[:300] for s in turns if s.thought],
            [s.work.seq for s in turns],
        ],
    )
    return [(run_id, {"reason": reason, "step": seq}) for run_id, reason, seq in rows]
