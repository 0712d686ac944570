"""What runs gave back."""

from __future__ import annotations

from collections.abc import Sequence

from apps.kernel.statements import execute, names, record, rows_as_json
from apps.kernel.transactions import participant
from apps.runs.domain.rows import GivenResult


@participant
def keep(rows: Sequence[GivenResult]) -> None:
    """Keep the results of runs that end. Written in the transaction that
    ends the run, so that a run that succeeded has its result; a repeated commit changes nothing."""
    if rows:
        execute(
            f"""
            INSERT INTO runs_runresult ({names(GivenResult)}, at)
            SELECT {names(GivenResult, of="v.")}, clock_timestamp()
            FROM jsonb_to_recordset(%s::jsonb) AS {record(GivenResult)}
            ON CONFLICT (run_id) DO NOTHING
            """,  # noqa: S608  # the columns of a type, no input
            [rows_as_json(rows)],
        )
