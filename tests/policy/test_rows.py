"""The row of a decision names the columns of its table."""

from __future__ import annotations

from apps.kernel.statements import columns
from apps.policy.models import Decision
from apps.policy.services.deciding import NewDecision
from tests.runs.test_rows import as_told


def test_a_decisions_fields_are_the_tables_columns_but_for_when() -> None:
    there = {field.column: as_told(field) for field in Decision._meta.concrete_fields}

    assert columns(NewDecision) | {"at": "timestamptz"} == there
