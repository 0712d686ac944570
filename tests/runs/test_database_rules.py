"""The rules that the database itself holds, whoever writes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from factory.django import DjangoModelFactory

from apps.audit.models import Event
from apps.runs.domain.states import TRANSITIONS, State
from apps.runs.models import Run
from tests.factories.runs import RunFactory, StepFactory

pytestmark = pytest.mark.django_db


def test_the_database_knows_the_same_transitions_as_the_domain() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT old, new FROM runs_transition")
        stored = set(cursor.fetchall())

    assert stored == {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}


def test_an_illegal_transition_is_refused() -> None:
    run = RunFactory(state="cancelled")

    with pytest.raises(IntegrityError, match="may not go"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="running")


@pytest.mark.parametrize("factory", [RunFactory, StepFactory])
def test_exactly_the_legal_transitions_are_let_through(factory: type[DjangoModelFactory]) -> None:
    """Also those that the trigger lets through without a look at the table."""
    row = factory()
    rows = type(row).objects.filter(pk=row.pk)
    let = {(old, new) for old in State for new in State if _lets(rows, old, new)}

    legal = {(old, new) for old, news in TRANSITIONS.items() for new in news}
    assert let == legal - {(State.FAILED, State.QUEUED)}  # that one is for poison only


def _lets(rows: QuerySet[Any], old: State, new: State) -> bool:
    if old == new:
        return False
    with connection.cursor() as cursor:
        table = rows.model._meta.db_table
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        rows.update(state=old)
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    try:
        with transaction.atomic():
            rows.update(state=new)
    except IntegrityError:
        return False
    return True


def test_an_audit_event_can_not_be_edited_or_deleted() -> None:
    event = Event.objects.create(kind="t", actor="a", subject_type="s", subject_id="1")

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(actor="b")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).delete()


def test_runs_of_before_are_told_by_their_source_and_forks_by_their_root() -> None:
    tell = import_module("apps.runs.migrations.0017_where_runs_come_from").TELL
    runs = {source: RunFactory.create(source=source) for source in ("desk", "replay", "api")}
    fork = RunFactory.create(source="fork", root_id=runs["desk"].pk)

    with connection.cursor() as cursor:
        for statement in tell:
            cursor.execute(statement)

    told = dict(Run.objects.values_list("pk", "origin"))
    assert [told[run.pk] for run in (*runs.values(), fork)] == [
        "practice", "replay", "real", "practice",
    ]  # fmt: skip
