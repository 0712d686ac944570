"""What was asked before, on the sheet: said, looked at, and meant once more."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.oversight import forms, selectors, services
from apps.oversight.domain import repeats
from apps.oversight.models import Approval, Reading
from apps.oversight.selectors import past


def asked_before(approval: Approval) -> dict[str, Any]:
    """The other requests for the same, and the decisions most like this one."""
    found = past.repeats_of(approval)
    return {
        "repeats": found,
        "marks": ",".join(sorted(found.marks)),
        "similar": past.similar_to(approval, but=[row.pk for row in found.rows]),
    }


def looked_at(found: past.Repeats, row: Reading) -> dict[str, Any]:
    """Whether this person has looked at other requests for the same as they stand now."""
    unlooked = repeats.unlooked(found.marks, services.read_of(row).looked)
    return {"must_look": bool(unlooked), "looked_at": row.looked_at if found.rows else None}


@require_POST
@requires("approvals.decide")
def look_again(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """What was asked before is meant once more, says whoever looked at it."""
    form = forms.LookForm(request.POST)
    if not form.is_valid():
        raise InvalidInputError("That names no other request for the same.", field="told")
    user = cast(User, request.user)
    services.look_again(approval_id=approval_id, user=user, **form.cleaned_data)
    if not getattr(request, "htmx", False):
        return redirect("approvals:detail", approval_id)
    if (approval := selectors.one(approval_id)) is None:
        raise NotFoundError("There is no such approval.")
    found = asked_before(approval)
    found |= looked_at(found["repeats"], services.open_sheet(approval, user))
    return render(request, "oversight/_same.html", {"approval": approval, **found})
