"""Whether lanes move: which step is due first in each, and since when that has been so."""

from __future__ import annotations

from django.conf import settings

from apps.kernel.transactions import command
from apps.runs.journal import execute

_MARK = """
    INSERT INTO runs_lanemark AS m (lane, head, done)
    SELECT l.lane,
        (SELECT s.id FROM runs_step s WHERE s.lane = l.lane AND s.state = 'queued'
            AND s.not_before <= clock_timestamp() ORDER BY s.priority, s.not_before, s.id LIMIT 1),
        (SELECT coalesce(sum(w.steps_done), 0) FROM runs_worker w WHERE w.lane = l.lane)
    FROM unnest(%s::text[]) AS l(lane) ORDER BY l.lane
    ON CONFLICT (lane) DO UPDATE SET head = excluded.head, done = excluded.done,
        looked_at = clock_timestamp(),
        moved_at = CASE WHEN excluded.head IS NULL OR excluded.head IS DISTINCT FROM m.head
            OR excluded.done <> m.done THEN clock_timestamp() ELSE m.moved_at END
"""


@command
def mark_lanes() -> int:
    """Note of each lane which of its steps would be claimed next, and whether that or the work done
    has changed since the last look. One step of the index and a few rows of workers a lane."""
    return execute(_MARK, [list(settings.LANES)])
