"""A person's settings, and the administrators' pages about people and service accounts."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import forms, selectors, services
from apps.accounts.authn import requires
from apps.accounts.domain.preferences import chosen
from apps.accounts.domain.tokens import TokenLimits
from apps.accounts.models import User
from apps.kernel.errors import ConflictError

COOKIE_AGE = 365 * 24 * 3600


@require_http_methods(["GET", "HEAD", "POST"])
@requires("tower.view")
def settings_page(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    if request.method != "POST":
        form = forms.PreferencesForm(initial=chosen(request.COOKIES, user.preferences))
        return render(request, "accounts/settings.html", {"form": form})
    form = forms.PreferencesForm(request.POST)
    if not form.is_valid():
        return render(request, "accounts/settings.html", {"form": form}, status=422)
    services.save_preferences(user, **form.cleaned_data)
    messages.success(request, "Saved.")
    response = redirect("accounts:settings")
    for name in ("theme", "density"):
        response.set_cookie(
            name,
            form.cleaned_data[name],
            max_age=COOKIE_AGE,
            samesite="Lax",
            path=settings.SESSION_COOKIE_PATH,
        )
    return response


def _services_page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {"accounts": selectors.service_accounts(), **more}
    context.setdefault("form", forms.ServiceForm())
    context.setdefault("token_form", forms.TokenForm(auto_id=False))
    return render(request, "accounts/services.html", context, status=status)


@require_GET
@requires("users.manage")
def service_accounts(request: HttpRequest) -> HttpResponse:
    """The systems that use the API, and their tokens."""
    return _services_page(request)


@require_POST
@requires("users.manage")
def create_service(request: HttpRequest) -> HttpResponse:
    form = forms.ServiceForm(request.POST)
    if not form.is_valid():
        return _services_page(request, form=form, status=422)
    try:
        account = services.create_account(actor=cast(User, request.user), **form.cleaned_data)
    except ConflictError as taken:
        form.add_error("name", str(taken))
        return _services_page(request, form=form, status=taken.status)
    messages.success(request, f"Service account {account.name} created. Add a token.")
    return redirect("accounts:services")


@require_POST
@requires("users.manage")
def create_token(request: HttpRequest, account_id: int) -> HttpResponse:
    """Make a token; this answer is the only one that ever shows it."""
    form = forms.TokenForm(request.POST, auto_id=False)
    if not form.is_valid():
        return _services_page(request, token_form=form, token_for=account_id, status=422)
    token, secret = services.create_token(
        actor=cast(User, request.user),
        account_id=account_id,
        scopes=form.cleaned_data["scopes"],
        days=form.cleaned_data["days"],
        rate_per_minute=form.cleaned_data["rate"],
        limits=TokenLimits(
            jobs=tuple(form.cleaned_data["jobs"]),
            starts_per_hour=form.cleaned_data["starts"],
            usd_per_day=form.cleaned_data["usd"],
        ),
    )
    return _services_page(request, shown_token=token, shown_secret=secret, status=201)


@require_POST
@requires("users.manage")
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    token = services.revoke_token(actor=cast(User, request.user), token_id=token_id)
    messages.success(request, f"Token {token.shown}… of {token.account.name} was revoked.")
    return redirect("accounts:services")


@require_POST
@requires("users.manage")
def disable_service(request: HttpRequest, account_id: int) -> HttpResponse:
    account = services.disable_account(actor=cast(User, request.user), account_id=account_id)
    messages.success(request, f"{account.name} is disabled, and with it every token it has.")
    return redirect("accounts:services")


def _users_page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {"people": selectors.people(), "roles": forms.ROLE_CHOICES, **more}
    context.setdefault("form", forms.NewUserForm())
    return render(request, "accounts/users.html", context, status=status)


@require_GET
@requires("users.manage")
def users(request: HttpRequest) -> HttpResponse:
    return _users_page(request)


@require_POST
@requires("users.manage")
def create_user(request: HttpRequest) -> HttpResponse:
    form = forms.NewUserForm(request.POST)
    if not form.is_valid():
        return _users_page(request, form=form, status=422)
    actor = cast(User, request.user)
    user, code = services.create_user(actor=actor, **form.cleaned_data)
    return _link_page(request, user, code, status=201)


@require_POST
@requires("users.manage")
def change_role(request: HttpRequest, user_id: int) -> HttpResponse:
    form = forms.RoleForm(request.POST)
    if form.is_valid():
        user = services.change_role(
            actor=cast(User, request.user), user_id=user_id, role=form.cleaned_data["role"]
        )
        messages.success(request, f"{user.username} is now {user.get_role_display()}.")
    return redirect("accounts:users")


@require_POST
@requires("users.manage")
def confirm_user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Vouch for an admin's account, as the second admin."""
    user = services.confirm(actor=cast(User, request.user), user_id=user_id)
    messages.success(request, f"{user.username} is confirmed as an admin.")
    return redirect("accounts:users")


@require_POST
@requires("users.manage")
def disable_user(request: HttpRequest, user_id: int) -> HttpResponse:
    user = services.disable_user(actor=cast(User, request.user), user_id=user_id)
    messages.success(request, f"{user.username} is disabled and every session of theirs is closed.")
    return redirect("accounts:users")


@require_POST
@requires("users.manage")
def enable_user(request: HttpRequest, user_id: int) -> HttpResponse:
    return _anew(request, user_id, "user.enabled")


@require_POST
@requires("users.manage")
def reset_user(request: HttpRequest, user_id: int) -> HttpResponse:
    return _anew(request, user_id, "user.password_reset")


def _anew(request: HttpRequest, user_id: int, kind: str) -> HttpResponse:
    actor = cast(User, request.user)
    user, code = services.reset_access(actor=actor, user_id=user_id, kind=kind)
    return _link_page(request, user, code)


def _link_page(request: HttpRequest, user: User, code: str, *, status: int = 200) -> HttpResponse:
    """The only answer that ever shows the code."""
    shown = {
        "invited": user,
        "code": code,
        "link": selectors.enrolment_link(code),
        "hours": settings.ENROLMENT_HOURS,
    }
    return _users_page(request, status=status, shown=shown)
