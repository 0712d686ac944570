"""The rules that the database itself holds, whoever writes."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from apps.audit.models import Event
from apps.runs.domain.states import TRANSITIONS
from apps.runs.models import Run
from tests.factories.runs import RunFactory

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


def test_an_audit_event_can_not_be_edited_or_deleted() -> None:
    event = Event.objects.create(kind="t", actor="a", subject_type="s", subject_id="1")

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(actor="b")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).delete()
