"""A tower of the released state keeps its runs, and a process of that state goes on beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.kernel.ids import new_id
from apps.runs.models import Run, Step
from tests.factories.runs import RunFactory, StepFactory

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("runs", "0021_words_of_results")]


def migrate(targets: Any = None) -> None:
    """To these, or to today's."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


@pytest.fixture
def released() -> Iterator[None]:
    """The tables as they were; as they are now again afterwards, whatever happens."""
    try:
        yield
    finally:
        migrate()


def rows(sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or [])
        return cursor.fetchall() if cursor.description else []


def as_before(table: str, like: UUID, **changes: Any) -> UUID:
    """A row as a process of the released state writes it: it names every column that it knew."""
    new = {"context", "ref"}
    known = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    names = [name for (name,) in rows(f"{known} AND NOT attisdropped", [table])]
    values = {"id": new_id(), **changes}
    taken = [n for n in names if n not in new]
    picked = ", ".join("%s" if n in values else f'"{n}"' for n in taken)
    listed = ", ".join(f'"{n}"' for n in taken)
    given = [values[n] for n in taken if n in values]
    copied = f"SELECT {picked} FROM {table} WHERE id = %s"
    rows(f"INSERT INTO {table} ({listed}) {copied}", [*given, like])
    return values["id"]


def test_runs_of_the_released_state_are_carried_on(released: None) -> None:
    run = RunFactory.create()
    step = StepFactory.create(run=run)
    migrate(BEFORE)
    desk = as_before("runs_run", run.pk, world="desk/retail/7", dialect="tau1")
    plain = as_before("runs_run", run.pk, world="live", dialect="")
    said = as_before("runs_step", step.pk, run_id=desk, seq=1, script_ref="12")

    migrate()

    assert Run.objects.get(pk=desk).context == {"world": "desk/retail/7", "dialect": "tau1"}
    assert Run.objects.get(pk=plain).context == Run.objects.get(pk=run.pk).context == {}
    assert (Step.objects.get(pk=said).ref, Step.objects.get(pk=step.pk).ref) == ("12", "")


def test_a_process_of_the_released_state_goes_on_beside() -> None:
    run = RunFactory.create()
    step = StepFactory.create(run=run)

    theirs = as_before("runs_run", run.pk, world="desk/retail/8", dialect="tau2")
    ours = RunFactory.create(context={"world": "desk/retail/9", "branch": "north"})
    said = as_before("runs_step", step.pk, run_id=theirs, seq=1, script_ref="3")
    own = StepFactory.create(run=ours, seq=1, ref="4")

    assert Run.objects.get(pk=theirs).context == {"world": "desk/retail/8", "dialect": "tau2"}
    assert Step.objects.get(pk=said).ref == "3"
    assert rows("SELECT world, dialect FROM runs_run WHERE id = %s", [ours.pk]) == [
        ("desk/retail/9", "")
    ]
    assert rows("SELECT script_ref FROM runs_step WHERE id = %s", [own.pk]) == [("4",)]
