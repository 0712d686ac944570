"""Who may open which page. Every view names its permission; a view without one fails the tests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.domain.roles import Permission, who_may
from apps.kernel.errors import TowerError

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


def requires(permission: str) -> Callable[[View], View]:
    """Let a view run only for a logged-in person whose role allows ``permission``: others get the
    log-in page, or 403 with a sentence that says who can."""
    wanted = Permission(permission)

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user: Any = request.user
            if not user.is_authenticated and _brings_a_token(request):
                log.warning("a token was brought to %s %s", request.method, request.path)
                said = "This is for people. Tokens act through /api/v1/ alone.\n"
                return HttpResponse(said, status=403, content_type="text/plain")
            if not user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not user.may(wanted):
                context = {"permission": wanted, "who_can": who_may(wanted)}
                return render(request, "403.html", context, status=403)
            return view(request, *args, **kwargs)

        inner.permission = wanted  # type: ignore[attr-defined]  # read by the test of roles and URLs
        return inner

    return decorate


def _brings_a_token(request: HttpRequest) -> bool:
    """Machines act through the API alone: what people decide and change is closed to them, and a
    machine that tries is told so instead of being sent to the log-in."""
    return request.headers.get("Authorization", "").lower().startswith("bearer ")


class PageMiddleware:
    """Data pages are never cached, and a deliberate error becomes a page that says what to do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TowerError):
            return None
        context = {"error": error, "detail": error.detail}
        name = "_error.html" if getattr(request, "htmx", False) else "error.html"
        return render(request, name, context, status=error.status)
