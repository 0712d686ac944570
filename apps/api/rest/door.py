"""The API object: description, strict reading of bodies, errors, and its operations."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.parser import Parser

from apps.api.rest import errors, events, runs

DESCRIPTION = """\
Start runs, read them, cancel them.

Send `Authorization: Bearer <token>` of a service account. Send an `Idempotency-Key` with every
POST: the same key and body again give the same answer (200, `Idempotent-Replayed: true`); 409 while
the first request is at work; 422 for another body; 400 without a key. Keys are kept for 31 days.
Errors are `application/problem+json` (RFC 9457) and name the field and the fix.
"""


class StrictParser(Parser):
    """JSON as the standard has it: no NaN, no infinity. What was read stays with the request, since
    its fingerprint is taken of what was sent, not of what the schema made of it."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            found = json.loads(request.body, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        request.sent = found  # type: ignore[attr-defined]
        return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


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
api.add_router("", runs.router)
api.add_router("", events.router)
