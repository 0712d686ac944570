"""The administrators' pages about teams: who is in which, and what each decides."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import forms, selectors, services
from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.accounts.selectors import ShownTeam
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, TowerError


def _index(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    found = selectors.teams()
    takes_new = any(one.team.takes_new for one in found)
    context = {"teams": found, "takes_new": takes_new, **more}
    return render(request, "accounts/teams.html", context, status=status)


@require_GET
@requires("users.manage")
def index(request: HttpRequest) -> HttpResponse:
    """Every team, with what it decides and who is in it."""
    return _index(request)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("users.manage")
def make(request: HttpRequest) -> HttpResponse:
    """Make a team."""
    return _form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("users.manage")
def change(request: HttpRequest, team_id: int) -> HttpResponse:
    """Change what a team decides, and who is in it."""
    shown = selectors.team_by_id(team_id)
    if shown is None:
        raise NotFoundError("There is no such team.")
    return _form(request, shown)


def _form(request: HttpRequest, shown: ShownTeam | None) -> HttpResponse:
    people = selectors.people_for_teams()
    if request.method != "POST":
        return _drawn(request, shown, forms.TeamForm(people=people, shown=shown))
    form = forms.TeamForm(request.POST, people=people, shown=shown)
    if not form.is_valid():
        return _drawn(request, shown, form, status=422)
    actor = cast(User, request.user)
    try:
        team = _carried_out(actor, shown, form)
    except (ConflictError, InvalidInputError) as refused:
        field = refused.detail.get("field")
        form.add_error(field if field in form.fields else None, str(refused))
        return _drawn(request, shown, form, status=refused.status)
    messages.success(request, f"{team.name} is saved.")
    return redirect("accounts:teams")


def _carried_out(actor: User, shown: ShownTeam | None, form: forms.TeamForm) -> Any:
    terms = form.terms()
    if shown is None:
        return services.make_team(actor=actor, terms=terms)
    seen = form.cleaned_data["seen"]
    return services.change_team(actor=actor, team_id=shown.team.pk, seen=seen, terms=terms)


def _drawn(
    request: HttpRequest, shown: ShownTeam | None, form: forms.TeamForm, *, status: int = 200
) -> HttpResponse:
    is_own = shown is not None and request.user in shown.members
    context = {"shown": shown, "form": form, "is_own": is_own}
    return render(request, "accounts/team.html", context, status=status)


@require_POST
@requires("users.manage")
def remove(request: HttpRequest, team_id: int) -> HttpResponse:
    """Remove a team that nobody is in."""
    try:
        team = services.remove_team(actor=cast(User, request.user), team_id=team_id)
    except NotFoundError:
        raise
    except TowerError as refused:
        return _index(request, status=refused.status, error=refused)
    messages.success(request, f"{team.name} is removed.")
    return redirect("accounts:teams")
