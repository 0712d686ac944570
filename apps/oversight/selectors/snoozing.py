"""What a person has put out of their own sight, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.oversight.models import Approval, Snooze


def is_snoozed(user: User) -> Exists:
    """Whether this person snoozed a question and its time has not passed."""
    return Exists(_rows(user, approval=OuterRef("pk"), until__gt=Now()))


def came_back(user: User, since: datetime) -> Exists:
    """Whether a question came back into this person's sight by itself since a moment."""
    return Exists(_rows(user, approval=OuterRef("pk"), until__gt=since, until__lte=Now()))


def _rows(user: User, **more: Any) -> Any:
    return Snooze.objects.filter(user=user, **more)


def snoozed_until(approval: Approval, user: User) -> datetime | None:
    """Until when it is out of this person's sight; nothing if it isn't."""
    rows = _rows(user, approval=approval, until__gt=Now())
    return rows.values_list("until", flat=True).first()


def next_to_wake(user: User) -> datetime | None:
    """When the next question comes back into this person's sight."""
    rows = _rows(user, until__gt=Now(), approval__state=Approval.State.PENDING)
    return rows.order_by("until").values_list("until", flat=True).first()
