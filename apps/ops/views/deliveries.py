"""Events that could not be delivered: what they are, and once more."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.audit import selectors, services
from apps.audit.domain.subscriber import MOST_TRIES
from apps.kernel.errors import ConflictError
from apps.ops.views.audit import number


@require_GET
@requires("tower.view")
def dead_letters(request: HttpRequest) -> HttpResponse:
    """A page of the events that subscribers went on without, newest first."""
    letters, older = selectors.dead_letters(before=number(request, "before"))
    context = {"letters": letters, "older": older, "most_tries": MOST_TRIES}
    return render(request, "ops/dead_letters.html", context)


@require_POST
@requires("workers.control")
def deliver_again(request: HttpRequest, letter_id: int) -> HttpResponse:
    """Deliver one of them now."""
    try:
        services.deliver_again(letter_id, actor=request.user.actor)
    except ConflictError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Delivered.")
    return redirect("api:dead_letters")
