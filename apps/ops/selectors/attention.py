"""Runs that somebody should not forget: paused ones, and those that poison ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, Min
from django.db.models.functions import Now

from apps.runs.models import Run

POISON_NEWS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AttentionCount:
    """How many runs, since when, and one of them to begin with."""

    count: int
    since: datetime | None = None
    run_id: UUID | None = None


def paused() -> AttentionCount:
    """Runs that are paused now, the longest first."""
    rows = Run.objects.filter(paused_at__isnull=False, finished_at=None)
    found = rows.aggregate(n=Count("*"), since=Min("paused_at"))
    first = rows.order_by("paused_at").values_list("id", flat=True).first()
    return AttentionCount(found["n"], found["since"], first)


def poisoned() -> AttentionCount:
    """Runs that ended in the last day by a step that took several workers with it, and that nobody
    had tried again."""
    rows = Run.objects.filter(
        state="failed", error_class="poison", created_at__gt=Now() - POISON_NEWS
    )
    found = rows.aggregate(n=Count("*"), since=Max("finished_at"))
    last = rows.order_by("-finished_at").values_list("id", flat=True).first()
    return AttentionCount(found["n"], found["since"], last)
