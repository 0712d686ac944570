"""The switch of a desk."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.accounts.authn import requires
from controltower.practice.desks import set_desk


@require_POST
@requires("desk.control")
def desk(request: HttpRequest, domain: str) -> HttpResponse:
    """Open or close a desk."""
    is_open = request.POST.get("open") == "1"
    set_desk(domain, is_open, cast(Any, request.user).actor)
    told = "is open: new cases arrive" if is_open else "is closed: no new case arrives"
    messages.success(request, f"The {domain} desk {told}.")
    return redirect("dashboards:home")
