"""Log-in and log-out, and what becomes of a form that came too late."""

from __future__ import annotations

import time
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import REASON_BAD_ORIGIN, REASON_NO_CSRF_COOKIE
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import forms, selectors
from apps.accounts.authn import (
    ask_to_log_in,
    in_place,
    kept_of,
    page_of,
    requires,
    say_in_place,
    told_by_itself,
    unseal,
)
from apps.accounts.domain.keeping import KEPT, Kept
from apps.accounts.domain.limits import SEEN
from apps.accounts.models import User
from apps.accounts.services import doors, sessions
from apps.accounts.services.enrolment import NO_PASSWORDS
from apps.accounts.views.entering import address_of, enter, keep_at_the_door, site_of
from apps.accounts.views.second import locked
from apps.kernel.errors import NotPermittedError

STALE = "Not done: this page is older than your log-in. Send it again; what you typed is kept."
OLD_LOG_IN = "This log-in page was too old to be used. Please log in again."
NO_COOKIES = "Your browser sent no cookie. Allow cookies for this site, then log in again."


class LogIn(LoginView):
    """The first step, open to strangers. Tries are counted by account, and too many lock it."""

    template_name = "accounts/login.html"
    authentication_form = forms.LogInForm
    redirect_authenticated_user = True
    tries = 0

    @method_decorator(sensitive_post_parameters())
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user: Any = request.user
        if request.method == "POST" and user.is_authenticated:
            messages.info(request, f"You were logged in already, as {user.display_name}.")
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.PASSWORDS:
            raise NotPermittedError(NO_PASSWORDS.format(selectors.provider_name()))
        if (name := _name_in(request)) and request.POST.get("password"):
            self.tries, wait = doors.spend(name)
            if wait:
                return locked(request, wait)
        return cast(HttpResponse, super().post(request, *args, **kwargs))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sealed = self.request.POST.get(KEPT, "")
        return super().get_context_data(
            kept=unseal(sealed),
            sealed=sealed,
            has_name=site_of(self.request).has_a_name,
            with_a_name=selectors.home_by_name(),
            **kwargs,
        )

    def form_invalid(self, form: Any) -> HttpResponse:
        if self.tries:
            told = {"name": _name_in(self.request), "address": address_of(self.request)}
            doors.refused(user=None, tries=self.tries, how="password", **told)
        return cast(HttpResponse, super().form_invalid(form))

    def form_valid(self, form: Any) -> HttpResponse:
        """Log in, or go on to the second factor of whoever has one."""
        request, user = self.request, cast(User, form.get_user())
        doors.forget(_name_in(request))
        sealed = request.POST.get(KEPT, "")
        way = {"how": "password", "following": self.get_redirect_url(), "sealed": sealed}
        if user.mfa_since is not None:
            keep_at_the_door(request, user, **way)
            doors.half_way(user=user, address=address_of(request))
            return redirect("accounts:second")
        return redirect(enter(request, user, **way))


def _name_in(request: HttpRequest) -> str:
    """The name as the form reads it, so that what is counted and told is what is tried; nothing for
    what the form refuses before it looks at a password."""
    field = forms.LogInForm(request).fields["username"]
    try:
        return str(field.clean(request.POST.get("username", "")))[:150]
    except ValidationError:
        return ""


@require_POST
@requires("tower.view")
@told_by_itself
def active(request: HttpRequest) -> HttpResponse:
    """Somebody did something on a page that asked the server for nothing meanwhile."""
    request.session[SEEN] = time.time()
    return HttpResponse(status=204)


@require_POST
@requires("tower.view")
def log_out(request: HttpRequest) -> HttpResponse:
    sessions.forget(user=cast(User, request.user), key=str(request.session.session_key))
    logout(request)
    return redirect("accounts:login")


@require_GET
@requires("tower.view")
def back(request: HttpRequest) -> HttpResponse:
    """Where a log-in in a second tab ends: the first tab still holds what was typed."""
    return render(request, "accounts/back.html")


@require_GET
@requires("tower.view")
def kept(request: HttpRequest) -> HttpResponse:
    """What was typed before the session ended, to be sent now or dropped."""
    stored = request.session.get(KEPT)
    found = Kept.from_json(stored) if stored else None
    return render(request, "accounts/kept.html", {"found": found})


@require_POST
@requires("tower.view")
def drop_kept(request: HttpRequest) -> HttpResponse:
    request.session.pop(KEPT, None)
    messages.success(request, "Dropped. Nothing was sent.")
    return redirect(page_of(request))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form whose token doesn't fit (``CSRF_FAILURE_VIEW``). Mostly the page is older than the
    log-in; a form of another site is refused and nothing of it is kept."""
    user: Any = getattr(request, "user", None)
    known = bool(user and user.is_authenticated)
    if request.path in {reverse("accounts:login"), reverse("accounts:provider")}:
        return _log_in_anew(request, known=known, reason=reason)
    if _is_foreign(request, reason):
        return render(
            request, "accounts/foreign.html", {"origin": settings.TOWER_ORIGIN}, status=403
        )
    if not known:
        return ask_to_log_in(request)
    if in_place(request):
        return say_in_place(request, STALE, status=403)
    found = kept_of(request)
    return render(request, "accounts/kept.html", {"found": found, "stale": True}, status=403)


def _is_foreign(request: HttpRequest, reason: str) -> bool:
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    known = reason.startswith(REASON_BAD_ORIGIN.partition("%")[0]) or "Referer" in reason
    return known or site not in {"same-origin", "none"}


def _log_in_anew(request: HttpRequest, *, known: bool, reason: str) -> HttpResponse:
    """A log-in form with an old token: with two log-in pages open, the first log-in makes the
    second's token old."""
    if known:
        user = cast(User, request.user)
        messages.info(request, f"You were logged in already, as {user.display_name}.")
        return redirect(resolve_url("/"))
    form = forms.LogInForm(request, initial={"username": request.POST.get("username", "")[:60]})
    said = NO_COOKIES if reason == REASON_NO_CSRF_COOKIE else OLD_LOG_IN
    sealed = request.POST.get(KEPT, "")
    context = {
        "form": form,
        "said": said,
        "next": request.POST.get("next", "")[:2000],
        "kept": unseal(sealed),
        "sealed": sealed,
    }
    return render(request, "accounts/login.html", context, status=403)
