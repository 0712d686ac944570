"""The API object: description, strict reading of bodies, errors, and its operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.parser import Parser

from apps.api.rest import errors, events, runs
from apps.kernel import exactjson

DESCRIPTION = """\
Start runs, read them, cancel them.

Send `Authorization: Bearer <token>` of a service account. Send an `Idempotency-Key` with every
POST: the same key and body again give the same answer (200, `Idempotent-Replayed: true`); 409 while
the first request is at work; 422 for another body; 400 without a key. Keys are kept for 31 days.
Errors are `application/problem+json` (RFC 9457) and name the field and the fix.
"""


class StrictParser(Parser):
    """JSON as the standard has it, with every number's exact value. What was read stays with the
    request, since its fingerprint is taken of what was sent, not of what the schema made of it."""

    def parse_body(self, request: HttpRequest) -> Any:
        found = exactjson.loads(request.body)
        request.sent = found  # type: ignore[attr-defined]
        return found


api = NinjaAPI(
    title="Control Tower",
    version="1",
    description=DESCRIPTION,
    urls_namespace="rest",
    docs_url=None,  # its page would load scripts from elsewhere
    openapi_url="/openapi.json",
    parser=StrictParser(),
)
errors.register(api)
ROUTERS = (runs.router, events.router)
for router in ROUTERS:
    api.add_router("", router)


def scopes() -> dict[str, dict[str, str]]:
    """``{name of the address: {method: scope}}`` of every operation."""
    found: dict[str, dict[str, str]] = {}
    for operation in (o for r in ROUTERS for p in r.path_operations.values() for o in p.operations):
        methods = found.setdefault(operation.url_name, {})
        methods |= dict.fromkeys(operation.methods, str(operation.auth_param.scope))
    return found


def patterns() -> tuple[list[URLPattern], str, str]:
    """The API's addresses for a URL configuration."""
    entries, name, space = api.urls
    known = scopes()
    for entry in entries:
        entry.callback = _politely(entry.callback, known.get(entry.name, {}))
    return entries, name, space


def _politely(view: Callable[..., HttpResponse], known: dict[str, str]) -> Any:
    """The view, whose answer to a method it doesn't have is a problem like any other."""

    @csrf_exempt  # no session opens this door, so there is nothing to forge
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        return errors.not_here(response) if response.status_code == 405 else response

    inner.scopes = known  # type: ignore[attr-defined]  # read by the test of scopes and URLs
    return inner
