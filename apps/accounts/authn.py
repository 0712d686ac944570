"""Who may open which page. Every view names its permission; a view without one fails the tests.

A form that comes too late (the session ended, somebody logged in again in another tab) is not
carried out, and nothing that was typed is lost: it is handed to the log-in page, sealed, and stands
in the form again afterwards.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render, resolve_url
from django.utils.http import escape_leading_slashes, url_has_allowed_host_and_scheme

from apps.accounts.domain import limits
from apps.accounts.domain.keeping import KEPT, Kept, keep
from apps.accounts.domain.limits import BEGAN, SEEN
from apps.accounts.forms import LogInForm
from apps.accounts.registry import allows, who_may
from apps.accounts.registry import permission as known
from apps.accounts.selectors import session_limits
from apps.kernel.errors import TowerError

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]
KEPT_S = 24 * 3600
NOTICE = "X-Tower-Notice"  # words for a page that stays as it is; see static/js/app.js
LOG_IN = "X-Tower-Login"  # beside it, when the session ended
LOGGED_OUT = "You are logged out. Nothing was done, and what you typed is kept."
NOT_KEPT = "You are logged out, and nothing was done. Go back in your browser for what you typed."
FOR_PEOPLE = "This page is for people. Tokens work on /api/v1/ only.\n"
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def requires(permission: str) -> Callable[[View], View]:
    """Let a view run only for a logged-in person whose role allows ``permission``: others get the
    log-in page, or 403 with a sentence that says who can."""
    wanted = known(permission).name

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user: Any = request.user
            if not user.is_authenticated and _brings_a_token(request):
                log.warning("a token was brought to %s %s", request.method, request.path)
                return HttpResponse(FOR_PEOPLE, status=403, content_type="text/plain")
            if not user.is_authenticated:
                return ask_to_log_in(request)
            if not user.may(wanted):
                return _refused(request, user, wanted)
            return view(request, *args, **kwargs)

        inner.permission = wanted  # type: ignore[attr-defined]  # read by the test of roles and URLs
        return inner

    return decorate


def told_by_itself(view: View) -> View:
    """Mark a view that pages tell of what their reader does, with no form being sent: a tenth of
    one, of what a person may send."""
    view.cost = 0.1  # type: ignore[attr-defined]  # read by SendingMiddleware
    return view


def _refused(request: HttpRequest, user: Any, wanted: str) -> HttpResponse:
    """403, with who may, or with what hinders somebody whose role would."""
    context = {"permission": wanted, "who_can": who_may(wanted)}
    if allows(user.role, wanted):
        context = {"reason": user.hindrance}
    return render(request, "403.html", context, status=403)


def _brings_a_token(request: HttpRequest) -> bool:
    """Machines act through the API alone: what people decide and change is closed to them, and a
    machine that tries is told so instead of being sent to the log-in."""
    return request.headers.get("Authorization", "").lower().startswith("bearer ")


# --- a session that ended -----------------------------------------------------------------------


def ask_to_log_in(request: HttpRequest) -> HttpResponse:
    """The answer to somebody who isn't logged in. A page is redirected to; a part of a page stays
    as it is and is told; a form that was sent is kept and asked for a log-in on the spot."""
    if in_place(request):
        response = say_in_place(request, LOGGED_OUT, status=403)
        response[LOG_IN] = "required"
        return response
    if request.method not in UNSAFE:
        return redirect_to_login(request.get_full_path())
    kept = kept_of(request)
    if kept is None and not request.POST:
        return redirect_to_login(page_of(request))
    context = {
        "form": LogInForm(request),
        "kept": kept,
        "sealed": seal(kept),
        "said": LOGGED_OUT if kept else NOT_KEPT,
        "next": page_of(request),
    }
    return render(request, "accounts/login.html", context, status=401)


def in_place(request: HttpRequest) -> bool:
    """Whether a script asks, whose page stays as it is."""
    wants_json = request.headers.get("Accept", "").startswith("application/json")
    return "HX-Request" in request.headers or wants_json


def say_in_place(request: HttpRequest, sentence: str, *, status: int) -> HttpResponse:
    """Tell the page that asked; nothing on it is replaced."""
    body = {"message": sentence}
    headers = {NOTICE: sentence.encode("ascii", "replace").decode(), "HX-Reswap": "none"}
    return JsonResponse(body, status=status, headers=headers)


def kept_of(request: HttpRequest) -> Kept | None:
    """What was typed into the form that this request brings, if a page of ours sent it: what a page
    of another site sends is not put before a person as their own words."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return None
    return keep(
        page_of(request),
        request.get_full_path(),
        ((name, request.POST.getlist(name)) for name in request.POST),
    )


def page_of(request: HttpRequest) -> str:
    """The address, on this site, of the page on which a form was sent; the home page if the browser
    doesn't say."""
    said = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(said, {request.get_host()}, request.is_secure()):
        return resolve_url("/")
    parts = urlsplit(said)
    path = escape_leading_slashes(parts.path)  # two of them begin the name of another site
    return f"{path}?{parts.query}" if parts.query else path


def seal(kept: Kept | None) -> str:
    """What is kept, signed, so that the log-in form can carry it."""
    return signing.dumps(kept.to_json(), salt=KEPT, compress=True) if kept else ""


def unseal(sealed: str) -> Kept | None:
    """What a log-in form carried; ``None`` for anything that we didn't sign within a day."""
    try:
        return Kept.from_json(signing.loads(sealed, salt=KEPT, max_age=KEPT_S))
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


# --- sessions that end --------------------------------------------------------------------------


def is_session_over(session: Any) -> bool:
    """Whether a person's session ended by its times (see ``domain.limits``)."""
    return BEGAN in session and limits.is_over(session, **session_limits())


class SessionLimits:
    """Ends a session that saw nobody do anything for a while, or has lived long enough. A page that
    is opened, and what the page tells of keys and clicks (``accounts:active``), is somebody doing
    something; what a page asks for by itself is not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if SESSION_KEY in session:
            now = time.time()
            if BEGAN not in session:
                session[BEGAN] = session[SEEN] = now
            elif is_session_over(session):
                logout(request)
            elif _opens_a_page(request) and now - session[SEEN] > limits.NOTED_EVERY_S:
                session[SEEN] = now
        return self.get_response(request)


def _opens_a_page(request: HttpRequest) -> bool:
    return not in_place(request) and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


# --- every page ---------------------------------------------------------------------------------


class PageMiddleware:
    """Data pages are never cached, and a deliberate error becomes a page that says what to do. What
    a person sent from a page that another person opened isn't carried out in the second's name."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        _forget_kept(request, response)
        return response

    def process_view(
        self, request: HttpRequest, view: View, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        user: Any = request.user
        if request.method not in UNSAFE or not user.is_authenticated:
            return None
        by = request.headers.get("X-Opened-By") or request.POST.get("opened_by")
        if by is None or by == str(user.pk):
            return None
        sentence = f"Not done: you are {user.display_name} now, and this page was opened by another"
        sentence += " person. Reload it and look again."
        if in_place(request):
            return say_in_place(request, sentence, status=409)
        error = TowerError(sentence, code="opened_by_another")
        return render(request, "error.html", {"error": error, "detail": {}}, status=409)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TowerError):
            return None
        context = {"error": error, "detail": error.detail}
        name = "_error.html" if getattr(request, "htmx", False) else "error.html"
        return render(request, name, context, status=error.status)


def _forget_kept(request: HttpRequest, response: HttpResponse) -> None:
    """What was kept of a form is done with once that form was carried out."""
    if request.method not in UNSAFE or response.status_code >= 400:
        return
    kept = request.session.get(KEPT) if hasattr(request, "session") else None
    if kept and kept.get("action") == request.get_full_path():
        del request.session[KEPT]
