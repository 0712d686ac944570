"""Absences, as people would have planned them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.oversight.models import Absence


def away(person: User, stand_in: User | None = None, **changes: Any) -> Absence:
    """This person is away since yesterday, and until tomorrow."""
    now = timezone.now()
    given = {
        "begins_at": now - timedelta(days=1),
        "ends_at": now + timedelta(days=1),
        "reason": "Holiday",
        "set_by": person,
    }
    return Absence.objects.create(person=person, stand_in=stand_in, **{**given, **changes})
