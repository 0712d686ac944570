"""The hidden values of a run: what there is, and one at a time shown to who says why."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import InvalidInputError
from apps.redaction import selectors, services
from apps.redaction.services.showing import LEAST_REASON, MOST_REASON


@never_cache  # a value is in this one answer: no cache and no history keeps it
@require_http_methods(["GET", "HEAD", "POST"])
@requires("values.unmask")
def hidden(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The tokens of a run; after a form, the value of one of them."""
    context = {"run_id": run_id, "rows": selectors.of_run(run_id), "most": MOST_REASON}
    context["least"] = LEAST_REASON
    if request.method != "POST":
        return render(request, "redaction/hidden.html", context)
    token, reason = request.POST.get("token", "")[:90], request.POST.get("reason", "")
    asked = {"token": token, "reason": reason}
    try:
        value = services.show(
            root_id=run_id, token=token, user=cast(User, request.user), reason=reason
        )
    except InvalidInputError as refused:
        more = {"asked": asked, "error": refused}
        return render(request, "redaction/hidden.html", context | more, status=refused.status)
    return render(request, "redaction/hidden.html", context | {"shown": {**asked, "value": value}})
