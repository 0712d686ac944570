"""Begin a new job or policy set from scratch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.accounts.authn import requires
from apps.catalog import services
from apps.catalog.forms import BeginForm
from apps.kernel.errors import ConflictError


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def job(request: HttpRequest) -> HttpResponse:
    return _begin(request, "job", services.begin_job, "catalog:draft")


@require_http_methods(["GET", "POST"])
@requires("policy.edit")
def policy(request: HttpRequest) -> HttpResponse:
    return _begin(request, "policy set", services.begin_policy, "policy:draft")


def _begin(
    request: HttpRequest, what: str, begin: Callable[..., Any], draft_url: str
) -> HttpResponse:
    form = BeginForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            begin(author=request.user, **form.cleaned_data)
        except ConflictError as error:
            form.add_error("slug", str(error))
        else:
            return redirect(draft_url, slug=form.cleaned_data["slug"])
    status = 422 if form.errors else 200
    return render(request, "catalog/begin.html", {"form": form, "what": what}, status=status)
