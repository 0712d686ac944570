"""Reads of the queue."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.approvals.models import Approval


def waiting_count() -> int:
    """How many questions wait for a person."""
    return Approval.objects.filter(state=Approval.State.PENDING).count()


def waiting_context(request: HttpRequest) -> dict[str, Any]:
    """The number on the navigation of every page; counted only where it is shown."""
    return {"waiting_count": SimpleLazyObject(waiting_count)}
