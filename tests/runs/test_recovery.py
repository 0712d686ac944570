from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.audit.services import sweep
from apps.runs.models import Worker
from apps.runs.services import beat

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_sweep_forgets_drains_that_ended_and_keeps_everything_else() -> None:
    for name, kind in (("old", "drainer"), ("fresh", "drainer"), ("parent", "worker")):
        beat(name, kind, "normal", 0, 1)
    long_ago = timezone.now() - timedelta(hours=1)
    Worker.objects.exclude(name="fresh").update(seen_at=long_ago)

    sweep()

    assert set(Worker.objects.values_list("name", flat=True)) == {"fresh", "parent"}
