"""What runs gave back."""

from __future__ import annotations

from collections.abc import Sequence

from apps.kernel.statements import Row, execute, rows_as_json
from apps.kernel.transactions import participant


@participant
def keep(rows: Sequence[Row]) -> None:
    """Keep the results of runs that end: rows of run_id, value. Written in the transaction that
    ends the run, so that a run that succeeded has its result; a repeated commit changes nothing."""
    if rows:
        execute(
            """
            INSERT INTO runs_runresult (run_id, value, at)
            SELECT v.run_id, v.value, clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS v(run_id uuid, value jsonb)
            ON CONFLICT (run_id) DO NOTHING
            """,
            [rows_as_json(rows)],
        )
