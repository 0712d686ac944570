"""Who is away: one's own absences, everybody's, and who stands in."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError
from apps.oversight import forms, services
from apps.oversight.selectors import away as selectors
from apps.oversight.services.away import AbsencePlan


@require_GET
@requires("approvals.view")
def page(request: HttpRequest) -> HttpResponse:
    """Everybody sees who is away, until when and who stands in; why, only they and admins."""
    return _page(request)


def _page(
    request: HttpRequest, *, form: forms.AbsenceForm | None = None, status: int = 200
) -> HttpResponse:
    user, now = cast(User, request.user), selectors.roster()
    context: dict[str, Any] = {
        "form": form or _form(user),
        "absences": [(one, now.there_for(one.person_id)) for one in selectors.to_come()],
        "stood_in_for": now.stood_in_for(user),
    }
    return render(request, "oversight/away.html", context, status=status)


def _form(user: User, data: Any = None) -> forms.AbsenceForm:
    people, for_others = selectors.people_to_choose(), user.may("absences.manage")
    if not for_others:
        people = [p for p in people if p != user and selectors.may_stand_in(p, user)]
    return forms.AbsenceForm(data, user=user, people=people, for_others=for_others)


@require_POST
@requires("absences.set")
def set_one(request: HttpRequest) -> HttpResponse:
    """Plan one. What was wrong is said at its field, and what was typed is kept."""
    user = cast(User, request.user)
    form = _form(user, request.POST)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    given = form.cleaned_data
    plan = AbsencePlan(
        person_id=given.get("person") or user.pk,
        begins_at=given["from"],
        ends_at=given["until"],
        stand_in_id=given["stand_in"],
        reason=given["reason"],
    )
    try:
        made = services.set_absence(by=user, plan=plan)
    except InvalidInputError as wrong:
        field = str(wrong.detail.get("field", ""))
        form.add_error(field if field in form.fields else None, str(wrong))
        return _page(request, form=form, status=wrong.status)
    whose = "You are" if made.person_id == user.pk else f"{made.person.display_name} is"
    messages.success(request, f"{whose} away {'now' if made.has_begun else 'then'}. Saved.")
    return redirect("approvals:away")


@require_POST
@requires("absences.set")
def end(request: HttpRequest, absence_id: int) -> HttpResponse:
    """End one before its time."""
    ended = services.end_absence(by=cast(User, request.user), absence_id=absence_id)
    messages.success(request, f"The absence of {ended.person.display_name} is ended.")
    return redirect("approvals:away")
