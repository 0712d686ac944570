"""What is noted of things that runs and steps name, without waiting for their events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_save

from apps.runs.models import Run, Step


@pytest.fixture
def noted_at_once(db: None) -> Iterator[None]:
    """Runs and steps are noted when a test saves them."""

    def note(sender: type[Run | Step], instance: Run | Step, **_: Any) -> None:
        function = "ops_note_runs" if sender is Run else "ops_note_steps"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s::uuid[])", [[instance.pk]])

    for model in (Run, Step):
        post_save.connect(note, sender=model, dispatch_uid=f"note-{model.__name__}")
    yield
    for model in (Run, Step):
        post_save.disconnect(sender=model, dispatch_uid=f"note-{model.__name__}")
