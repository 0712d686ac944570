"""Saving and deleting views."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts import services
from apps.accounts.authn import requires
from apps.accounts.forms import SavedViewForm
from apps.accounts.models import SavedView, User
from apps.kernel.errors import InvalidInputError
from apps.web.adapters.landing import land


@require_POST
@requires("tower.view")
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a page under a name, and go on with them."""
    form = SavedViewForm(request.POST)
    if not form.is_valid():
        name, told = next(iter(form.errors.items()))
        raise InvalidInputError(str(told[0]), field=name)
    view, is_new = services.save_view(by=cast(User, request.user), **form.cleaned_data)
    whose = "for everybody who may open this page" if view.shared else "for you"
    did = "Saved" if is_new else "Replaced"
    messages.success(request, f"{did} the view “{view.name}”, {whose}.")
    return land(request, address(view))


@require_POST
@requires("tower.view")
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    """Throw one's own view away; the page stays as it is."""
    view = services.delete_view(by=cast(User, request.user), view_id=view_id)
    messages.success(request, f"Deleted the view “{view.name}”. The filters are still set.")
    return land(request, address(view))


def address(view: SavedView) -> str:
    return f"{reverse(view.page)}?{view.query}" if view.query else reverse(view.page)
