"""The page on which a held call is edited. Whatever goes wrong, what was typed comes back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.accounts.authn import requires
from apps.kernel.errors import NotFoundError, TowerError
from apps.ops.domain import arguments
from apps.ops.selectors import holding
from apps.oversight import services as approvals
from apps.oversight.domain.rules import REASON_MOST
from apps.oversight.selectors import edits


@requires("approvals.decide")
def edit_held(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """The arguments of a held call as a form made of the tool's schema, and its answer."""
    held = holding.held_call(approval_id)
    fields = arguments.fields_of(held.schema, held.arguments)
    if request.method != "POST":
        return _drawn(request, held, fields)
    found, fields = arguments.read(fields, request.POST.dict())
    found = arguments.beside(fields, held.arguments) | found
    others: list[str] = []
    if not any(field.error for field in fields):
        fields, others = held.judged(found, fields)
    wrong = [field.error for field in fields if field.error] + others
    reason = request.POST.get("reason", "")[:REASON_MOST]
    if wrong:
        return _drawn(request, held, fields, status=422, wrong=wrong, reason=reason)
    try:
        approvals.edit(
            approval_id=approval_id,
            user=request.user,
            arguments=found,
            reason=reason,
            digest=request.POST.get("digest", ""),
        )
    except NotFoundError:
        raise
    except TowerError as refused:
        more = {"error": refused, "reason": reason}
        return _drawn(request, held, fields, status=refused.status, **more)
    return redirect(f"{reverse('approvals:detail', args=[approval_id])}?edited=1")


def _drawn(
    request: HttpRequest,
    held: holding.HeldCall,
    fields: list[arguments.ArgumentField],
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    context = {
        "approval": held.approval,
        "fields": fields,
        "is_open": held.approval.state == "pending" and not held.is_undoing,
        "is_undoing": held.is_undoing,
        "ended": edits.edit_that_ended(held.approval),
        "next": edits.asked_after(held.approval),
        **more,
    }
    return render(request, "ops/edit_held.html", context, status=status)
