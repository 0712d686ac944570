"""The people's queue: what waits, what exactly is asked, and the answer."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.approvals import selectors


@require_GET
@requires("approvals.view")
def count(request: HttpRequest) -> HttpResponse:
    """The number on the navigation."""
    return render(request, "approvals/_count.html", {"waiting_count": selectors.waiting_count()})
