"""The rows of the engine's statements name columns that there are, with types that fit."""

from __future__ import annotations

import pytest
from django.db import connection, models

from apps.kernel.records import columns
from apps.runs.models import Step
from apps.runs.rows import NewStep

ALIKE = {
    "integer": "bigint",
    "smallint": "bigint",
    "double precision": "float",
    "varchar": "text",
}
ROWS = [(NewStep, Step, {"wait_s": "float"})]


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
