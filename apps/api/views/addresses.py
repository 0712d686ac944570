"""What no page of the tower can look for never reaches one.

PostgreSQL's text holds every character but NUL, so a NUL in an address or a form would be an error
of the database's. In an address it is left out and named on the page; other things that can't be
understood are each form's to say.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.accounts.authn import in_place, say_in_place
from apps.api.domain.problems import CONTENT_TYPE, Wrong, problem
from apps.kernel.errors import InvalidInputError

NUL = "\x00"
FIX = "Take the character NUL (%00) out."


class AddressMiddleware:
    """A value with a NUL is left out of the address's parameters, and ``request.left_out`` names it
    for the page; the API and forms are told 422 with the field, a path with one is 404. A number
    or a moment in an address that is beyond what the database knows is 422."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if NUL in request.path:
            raise Http404("no address has a NUL")
        fields = [name for name, values in request.GET.lists() if _has_nul(name, values)]
        if fields and request.path.startswith("/api/"):
            return _refused(request, fields)
        if fields:
            _leave_out(request, fields)
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        """Fields of a form are looked at once the token was: reading them takes the whole body."""
        if request.method != "POST" or request.path.startswith("/api/"):
            return None
        fields = [name for name, values in request.POST.lists() if _has_nul(name, values)]
        return _refused(request, fields) if fields else None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A reading page that the database could not answer: nothing is broken but the question."""
        if request.method not in {"GET", "HEAD"} or not isinstance(error, DataError):
            return None
        if isinstance(error, OperationalError | InterfaceError):
            return None
        return _refused(request, list(request.GET), "holds a value beyond what can be looked for")


def _has_nul(name: str, values: list[object]) -> bool:
    return NUL in name or any(NUL in str(value) for value in values)


def _leave_out(request: HttpRequest, fields: list[str]) -> None:
    kept = request.GET.copy()
    for name in fields:
        kept.setlist(name, [v for v in kept.getlist(name) if NUL not in v and NUL not in name])
        if not kept.getlist(name):
            del kept[name]
    request.GET = kept  # type: ignore[assignment]  # a mutable one
    request.left_out = _shown(fields)  # type: ignore[attr-defined]  # read by page_context


def _shown(fields: list[str]) -> list[str]:
    return [name.replace(NUL, "")[:60] or "?" for name in fields[:5]]


def _refused(
    request: HttpRequest, fields: list[str], what: str = "holds a character that no text can hold"
) -> HttpResponse:
    names = _shown(fields)
    named = ", ".join(f"“{name}”" for name in names)
    sentence = f"The field {named} {what}." if names else f"The address {what}."
    if request.path.startswith("/api/"):
        wrongs = [Wrong(name, sentence, FIX) for name in names]
        body = problem(422, "invalid_request", sentence, wrongs=wrongs)
        return JsonResponse(body, status=422, content_type=CONTENT_TYPE)
    if in_place(request):
        return say_in_place(request, sentence, status=422)
    context = {"error": InvalidInputError(sentence), "detail": {"hint": FIX}}
    return render(request, "error.html", context, status=422)
