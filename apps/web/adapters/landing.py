"""Where a form leads that was sent from a page: whole, or by a script that stays on it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django_htmx.http import HttpResponseClientRedirect


def land(request: HttpRequest, to: Any, *args: Any) -> HttpResponse:
    """Go to a page after something was done. A form that was sent by script (so that a mistake is
    told beside what was typed) has it loaded as a whole."""
    url = resolve_url(to, *args)
    is_htmx = request.htmx  # type: ignore[attr-defined]  # django-htmx
    return HttpResponseClientRedirect(url) if is_htmx else redirect(url)
