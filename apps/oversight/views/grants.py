"""Grants: proposed from a request, confirmed by a second person, listed, used, revoked."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import ConflictError, NotFoundError, TowerError
from apps.oversight import forms, selectors, services
from apps.oversight.adapters import KeyFileError
from apps.oversight.domain import grant_typing
from apps.oversight.domain.grants import GrantBounds
from apps.oversight.models import Approval, Grant
from apps.oversight.selectors import grants
from apps.oversight.services import granting
from apps.oversight.services.grant_seals import bounds_of, why_not_proposed
from apps.oversight.views.sheet import drawn
from apps.web.domain.quantities import money_words


@require_GET
@requires("approvals.view")
def page(request: HttpRequest) -> HttpResponse:
    """Those that wait for their confirmation, those that count, and those that ended."""
    context = {
        "waiting": [_shown(one) for one in grants.waiting()],
        "active": [_shown(one) for one in grants.active()],
        "ended": [_shown(one) for one in grants.ended()],
    }
    if getattr(request, "htmx", False):
        return render(request, "oversight/_grants.html", context)
    return render(request, "oversight/grants.html", context)


def _shown(grant: Grant) -> dict[str, Any]:
    """A grant and its bounds in words; none where they can't be read any more."""
    try:
        bounds = bounds_of(grant)
    except ValueError:
        return {"grant": grant, "bounds": None}
    return {
        "grant": grant,
        "bounds": bounds,
        "amount": money_words(max(bounds.most_cents, -bounds.least_cents)),
        "fields": [(one.name, grant_typing.words(one)) for one in bounds.fields],
    }


@require_GET
@requires("approvals.view")
def one(request: HttpRequest, grant_id: UUID) -> HttpResponse:
    """One grant: all that it is bound to, and its uses."""
    return _one(request, _found(grant_id))


def _found(grant_id: UUID) -> Grant:
    grant = grants.one(grant_id)
    if grant is None:
        raise NotFoundError("There is no such grant.")
    return grant


def _one(request: HttpRequest, grant: Grant, *, status: int = 200, **more: Any) -> HttpResponse:
    user, shown = cast(User, request.user), _shown(grant)
    is_waiting = grant.state == Grant.State.PROPOSED and grant.is_open
    may = user.may("approvals.decide")
    context = {
        **shown,
        "uses": grants.last_uses(grant),
        "is_waiting": is_waiting,
        "can_revoke": may and grant.state in grants.COUNTS and grant.minutes_left > 0,
        "can_decline": may and is_waiting,
        **(_confirming(grant, user, shown["bounds"]) if may and is_waiting else {}),
        **more,
    }
    return render(request, "oversight/grant.html", context, status=status)


def _confirming(grant: Grant, user: User, bounds: GrantBounds | None) -> dict[str, Any]:
    """What a second person needs to confirm a proposal, or why they can't."""
    try:
        is_signed = bounds is not None and not why_not_proposed(grant)
    except KeyFileError as unread:
        return {"why_not": f"Nobody can check here who signed it: {unread}"}
    if bounds is None or not is_signed:
        return {"why_not": "What is stored is not what its proposer signed: it can't be confirmed."}
    return {
        "why_not": granting.why_not_confirm(grant, user),
        "digest": bounds.digest,
        **_tried(bounds, grant.source),
    }


def _tried(bounds: GrantBounds, source: Approval) -> dict[str, Any]:
    return {
        "on_waiting": grants.try_on_waiting(bounds, source),
        "on_past": grants.try_on_past(bounds, source),
    }


@require_http_methods(["GET", "POST"])
@requires("approvals.decide")
def propose(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """The form, whose bounds are those of the request to begin with; and the proposal."""
    approval, user = _source(approval_id), cast(User, request.user)
    if why := services.why_no_grant(approval, user):
        refused = ConflictError(why, code="ungrantable")
        return drawn(request, approval_id, error=refused, status=refused.status)
    if request.method != "POST":
        form = forms.GrantForm(approval=approval)
        return _form(request, approval, form, plan=_first_plan(form, approval))
    form = forms.GrantForm(request.POST, approval=approval)
    if not form.is_valid():
        return _form(request, approval, form, status=422)
    try:
        made = services.propose_grant(approval_id=approval_id, user=user, plan=_plan(form))
    except TowerError as refused:
        field = "reason" if refused.code == "reason" else None
        form.add_error(field, str(refused))
        return _form(request, approval, form, status=refused.status)
    messages.success(request, "Proposed. It covers nothing until another person has confirmed it.")
    return redirect("approvals:grant", made.pk)


def _source(approval_id: UUID) -> Approval:
    approval = selectors.one(approval_id)
    if approval is None:
        raise NotFoundError("There is no such approval.")
    return approval


def _plan(form: forms.GrantForm) -> services.GrantPlan:
    given = form.cleaned_data
    return services.GrantPlan(
        fields=given["bounds"],
        most_cents=given["limit"],
        count=given["count"],
        hours=given["hours"],
        reason=given["reason"].strip(),
    )


def _first_plan(form: forms.GrantForm, approval: Approval) -> services.GrantPlan:
    """What the form says before anybody has changed it."""
    equal = [grant_typing.typed(name, value, "equal", "") for name, value in form.values]
    return services.GrantPlan(equal, abs(approval.amount_cents or 0), 10, 4)


def _form(
    request: HttpRequest,
    approval: Approval,
    form: forms.GrantForm,
    *,
    status: int = 200,
    plan: services.GrantPlan | None = None,
) -> HttpResponse:
    context = {"approval": approval, "form": form, **_preview(approval, plan)}
    return render(request, "oversight/grant_form.html", context, status=status)


def _preview(approval: Approval, plan: services.GrantPlan | None) -> dict[str, Any]:
    """What a plan would cover; nothing of one that makes no bounds yet."""
    if plan is None:
        return {}
    try:
        return _tried(granting.plan_bounds(approval, plan), approval)
    except TowerError as refused:
        return {"preview_error": refused}


@require_POST
@requires("approvals.decide")
def covers(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """What the form, as it is filled in now, would cover. Nothing is kept."""
    approval = _source(approval_id)
    if why := services.why_no_grant(approval, cast(User, request.user)):
        return render(request, "oversight/_grant_covers.html", {"preview_error": why})
    # Why it is proposed makes no difference to what it covers.
    data = request.POST.copy()
    data["reason"] = data.get("reason", "").strip() or "-"
    form = forms.GrantForm(data, approval=approval)
    context = _preview(approval, _plan(form)) if form.is_valid() else {"form": form}
    return render(request, "oversight/_grant_covers.html", context)


@require_POST
@requires("approvals.decide")
def confirm(request: HttpRequest, grant_id: UUID) -> HttpResponse:
    """The second person's word. Whatever goes wrong, what was typed comes back."""
    form = forms.ConfirmGrantForm(request.POST)
    if not form.is_valid():
        return _one(request, _found(grant_id), status=422, error="Say why you confirm it.")
    try:
        grant = services.confirm_grant(
            grant_id=grant_id, user=cast(User, request.user), **form.cleaned_data
        )
    except NotFoundError:
        raise
    except TowerError as refused:
        return _refused(request, grant_id, refused, form.cleaned_data["reason"])
    if grant.state == Grant.State.ACTIVE:
        messages.success(request, "Confirmed: from now on it covers what fits.")
    return redirect("approvals:grant", grant_id)


def _refused(request: HttpRequest, grant_id: UUID, refused: TowerError, typed: str) -> HttpResponse:
    return _one(request, _found(grant_id), status=refused.status, error=refused, typed=typed)


@require_POST
@requires("approvals.decide")
def decline(request: HttpRequest, grant_id: UUID) -> HttpResponse:
    """End a proposal."""
    return _end(request, grant_id, services.decline_grant)


@require_POST
@requires("approvals.decide")
def revoke(request: HttpRequest, grant_id: UUID) -> HttpResponse:
    """End a grant at once."""
    return _end(request, grant_id, services.revoke_grant)


def _end(request: HttpRequest, grant_id: UUID, act: Any) -> HttpResponse:
    form = forms.EndGrantForm(request.POST)
    if not form.is_valid():
        return _one(request, _found(grant_id), status=422, error="Say why you end it.")
    reason = form.cleaned_data["reason"]
    try:
        act(grant_id=grant_id, user=cast(User, request.user), reason=reason)
    except NotFoundError:
        raise
    except TowerError as refused:
        return _refused(request, grant_id, refused, reason)
    return redirect("approvals:grant", grant_id)
