"""Delegate a question, and give one back."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError, NotFoundError, TowerError
from apps.oversight import forms, services
from apps.oversight.domain.ladder import NOTE_MOST
from apps.oversight.views.sheet import drawn


@require_POST
@requires("approvals.decide")
def delegate(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Ask somebody by name. Whatever goes wrong, the typed note comes back."""
    form, user = forms.DelegateForm(request.POST), cast(User, request.user)
    try:
        if not form.is_valid():
            raise InvalidInputError("Choose a person, and say why they should decide.", field="to")
        given = form.cleaned_data
        services.delegate(approval_id=approval_id, user=user, **given)
    except NotFoundError:
        raise
    except TowerError as refused:
        note, chosen = request.POST.get("note", "")[:NOTE_MOST], request.POST.get("to_id", "")
        more: dict[str, Any] = {"delegate_error": refused, "note_to": note, "chosen": chosen}
        return drawn(request, approval_id, status=refused.status, **more)
    return _done(request, approval_id, "approval:delegated")


@require_POST
@requires("approvals.decide")
def give_back(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """It is not for this person any more."""
    services.give_back(approval_id=approval_id, user=cast(User, request.user))
    return _done(request, approval_id, "approval:given_back")


def _done(request: HttpRequest, approval_id: UUID, event: str) -> HttpResponse:
    if not getattr(request, "htmx", False):
        return redirect("approvals:detail", approval_id)
    return trigger_client_event(drawn(request, approval_id), event, {"id": str(approval_id)})
