"""The row that stands for many requests of one job."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import NotFoundError
from apps.oversight import forms
from apps.oversight.selectors import storms


@require_GET
@requires("approvals.view")
def figures(request: HttpRequest) -> HttpResponse:
    """How the storm in the address stands now, for refresh while its row is on the page."""
    found = storms.one(forms.filters_from(request.GET), cast(User, request.user))
    if found is None:
        raise NotFoundError("That names no requests of a job.")
    return render(request, "oversight/_storm_figures.html", {"storm": found})
