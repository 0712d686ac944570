"""Machines that come to pages of people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.accounts.authn import FOR_PEOPLE
from apps.accounts.services import misuse


class TokenMiddleware:
    """Refuses whoever brings one of our tokens to a page of people, whatever else they bring, and
    raises the alarm: somebody looks for a way from a machine's rights to a person's. Stands before
    what asks for the token of forms, which such a request never has."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: Any
    ) -> HttpResponse | None:
        """403 for a token of ours at an address that names a permission of people."""
        scheme, _, brought = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hasattr(view, "permission"):
            return None
        if not misuse(brought.strip(), method=str(request.method), path=request.path):
            return None
        return HttpResponse(FOR_PEOPLE, status=403, content_type="text/plain")
