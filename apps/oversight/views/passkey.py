"""The passkey that signs an approval: what the browser is asked for, and what it answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.accounts.services.factors import ShownPasskey
from apps.accounts.views.entering import site_of
from apps.kernel.errors import InvalidInputError, NotFoundError, TowerError
from apps.oversight import forms, selectors
from apps.oversight.models import Approval, Vote
from apps.oversight.services.passkeys import ask_for_passkey, why_no_passkey, without_passkey


def why_not_signed(request: HttpRequest, approval: Approval) -> str:
    """Why this person can't sign an approval of it here; nothing if they can, or needn't."""
    return why_no_passkey(approval, cast(User, request.user), site_of(request))


def with_signatures(approval: Approval, votes: Sequence[Vote]) -> list[Vote]:
    """The votes, each with whether the passkey that it was signed with still proves it."""
    lacking = without_passkey(approval, votes)
    for vote in votes:
        vote.is_signed = vote.pk not in lacking  # type: ignore[attr-defined]
    return [*votes]


def shown_in(request: HttpRequest, answer: str) -> ShownPasskey | None:
    """The passkey that came with an answer; ``None`` for anything that is none."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return ShownPasskey(site_of(request), found) if isinstance(found, dict) else None


@require_POST
@requires("approvals.decide")
def ask(request: HttpRequest, approval_id: UUID) -> JsonResponse:
    """What the browser asks the device for. Nothing is kept: what is signed says what it is for."""
    form = forms.SignForm(request.POST)
    approval = selectors.one(approval_id)
    if approval is None:
        raise NotFoundError("There is no such approval.")
    user, site = cast(User, request.user), site_of(request)
    try:
        if not form.is_valid():
            raise InvalidInputError("That was incomplete: reload the page.", field="nonce")
        options: dict[str, Any] = ask_for_passkey(
            approval=approval, user=user, site=site, **form.cleaned_data
        )
    except TowerError as refused:
        return JsonResponse({"message": str(refused)}, status=refused.status)
    return JsonResponse(options)
