"""The rows of the engine's statements name columns that there are, with types that fit."""

from __future__ import annotations

from dataclasses import is_dataclass

import pytest
from django.db import connection, models

from apps.kernel.statements import columns
from apps.runs.domain import rows
from apps.runs.domain.rows import Owner
from apps.runs.journal.claiming import columns_read
from apps.runs.models import (
    Attempt,
    Intent,
    Message,
    Receipt,
    Run,
    RunResult,
    RunScript,
    Step,
)
from apps.runs.work import Claimed

ALIKE = {
    "integer": "bigint",
    "smallint": "bigint",
    "double precision": "float",
    "varchar": "text",
    "timestamp with time zone": "timestamptz",
}
STEP, RUN = {"step_id": "uuid"}, {"run_id": "uuid"}
PAID = {"delay_s": "float", "tool": "text", "cost": "float", "cap_s": "float"}
ROWS = [  # row, table, and what is no column of it
    (rows.NewStep, Step, {"wait_s": "float"}),
    (rows.Gated, Step, STEP),
    (rows.AskedStep, Step, STEP),
    (rows.NewIntent, Intent, {"lease_token": "bigint", "root_id": "uuid"}),
    (rows.NewAttempt, Attempt, {}),
    (rows.EndedAttempt, Attempt, {}),
    (rows.NewReceipt, Receipt, {}),
    (rows.EndedStep, Step, STEP),
    (rows.TakenStep, Step, {"old": "uuid", "new": "uuid"}),
    (rows.Retry, Step, STEP | PAID),
    (rows.NewMessage, Message, {}),
    (rows.GivenResult, RunResult, {}),
    (rows.LongerScript, RunScript, {"more": "jsonb"}),
    (rows.TurnCost, Run, RUN),
    (rows.MovedRun, Run, RUN),
    (
        rows.TakenIn,
        Run,
        {"deadline_s": "float", "begins_in_s": "float", "is_over": "boolean", "items": "jsonb"},
    ),
]


def test_every_row_is_held_against_its_table() -> None:
    named = {one for one in vars(rows).values() if is_dataclass(one)}

    assert {row for row, _, _ in ROWS} == named - {Owner}  # which is read


def as_told(field: models.Field) -> str:
    kind = str(field.db_type(connection)).split("(")[0].split(" CHECK")[0]
    return ALIKE.get(kind, kind)


@pytest.mark.parametrize(("row", "model", "others"), ROWS)
def test_a_rows_fields_are_the_models_columns(
    row: type, model: type[models.Model], others: dict[str, str]
) -> None:
    there = {f.column: as_told(f) for f in model._meta.concrete_fields} | others

    told = columns(row)

    assert told == {name: there.get(name) for name in told}
    assert set(others) <= set(told)


def test_what_a_claim_reads_is_as_its_fields_say() -> None:
    of = {"s": Step, "r": Run}
    there = {f"{a}.{f.column}": as_told(f) for a, m in of.items() for f in m._meta.concrete_fields}
    read = columns_read(unreadable="''").split(", ")
    told = columns(Claimed)

    assert [name.split(".")[-1] for name in read[1:-1]] == list(told)[1 : len(read) - 1]
    wrong = [
        one for one in zip(read[:-1], told.items(), strict=False) if there.get(one[0]) != one[1][1]
    ]
    assert wrong == []
    assert (read[0], list(told)[len(read) - 1]) == ("s.id", "unreadable")
