"""Snooze a question, and show it again."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError, NotFoundError, TowerError
from apps.oversight import forms, services
from apps.oversight.views.sheet import drawn


@require_POST
@requires("approvals.decide")
def snooze(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Out of this person's sight for a while."""
    form, user = forms.SnoozeForm(request.POST), cast(User, request.user)
    if not form.is_valid():
        raise InvalidInputError("Choose one of the times.", field="minutes")
    try:
        found = services.snooze(approval_id=approval_id, user=user, **form.cleaned_data)
    except NotFoundError:
        raise
    except TowerError as refused:
        return drawn(request, approval_id, status=refused.status, error=refused)
    if not getattr(request, "htmx", False):
        return redirect("approvals:queue")
    told = {"id": str(approval_id), "until": found.until.isoformat()}
    return trigger_client_event(drawn(request, approval_id), "approval:snoozed", told)


@require_POST
@requires("approvals.decide")
def wake(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Into sight again."""
    services.wake(approval_id=approval_id, user=cast(User, request.user))
    if not getattr(request, "htmx", False):
        return redirect("approvals:detail", approval_id)
    told = {"id": str(approval_id)}
    return trigger_client_event(drawn(request, approval_id), "approval:woken", told)
