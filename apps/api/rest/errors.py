"""Every error of the API as a problem document."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from apps.api.domain.problems import CONTENT_TYPE, Wrong, pointer, problem
from apps.api.rest.auth import REALM, JobNotIncluded, ScopeMissing, TokenRefused
from apps.audit.domain.caller import incident
from apps.kernel.errors import TowerError
from apps.kernel.exactjson import NotCarriedError

log = logging.getLogger(__name__)

_FIXES = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it, or check for a typo.",
    "string_type": "Send text.",
    "string_too_long": "Send less.",
    "string_too_short": "It must not be empty.",
    "dict_type": "Send an object.",
    "list_type": "Send a list.",
    "model_attributes_type": "Send an object.",
    "uuid_parsing": "Send a UUID.",
    "datetime_from_date_parsing": "Send a date and time as in RFC 3339.",
}


def told(body: Mapping[str, Any], **headers: str) -> HttpResponse:
    """A problem document as an answer."""
    text = json.dumps(body)
    return HttpResponse(text, status=body["status"], content_type=CONTENT_TYPE, headers=headers)


def register(api: NinjaAPI) -> None:
    """Hand every kind of error to its words."""
    handlers: dict[type[Exception], Any] = {
        TokenRefused: _token_refused,
        ScopeMissing: _scope_missing,
        JobNotIncluded: _job_not_included,
        AuthenticationError: _nobody,
        ValidationError: _invalid,
        TowerError: _tower_error,
        HttpError: _unreadable,
        RequestDataTooBig: _too_large,
        Http404: _not_found,
        OperationalError: _unavailable,
        Exception: _internal_error,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _token_refused(request: HttpRequest, error: TokenRefused) -> HttpResponse:
    refused = error.refused
    if refused.retry_after is not None:
        fix = f"Retry after {refused.retry_after} s, and send fewer requests."
        body = problem(
            429, refused.code, refused.sentence, fix=fix, retry_after=refused.retry_after
        )
        return told(body, **{"Retry-After": str(refused.retry_after)})
    fix = "Send “Authorization: Bearer twr_svc_…” with a token that an administrator made."
    body = problem(401, refused.code, refused.sentence, fix=fix)
    return told(body, **{"WWW-Authenticate": f'{REALM}, error="invalid_token"'})


def _nobody(request: HttpRequest, error: Exception) -> HttpResponse:
    fix = "Send “Authorization: Bearer twr_svc_…” with a token that an administrator made."
    body = problem(401, "no_token", "A service-account token is required.", fix=fix)
    return told(body, **{"WWW-Authenticate": REALM})


def _scope_missing(request: HttpRequest, error: ScopeMissing) -> HttpResponse:
    fix = f"Use a token with the scope {error.scope}; an administrator can make one."
    body = problem(403, "scope_missing", str(error), fix=fix, scope=str(error.scope))
    challenge = f'{REALM}, error="insufficient_scope", scope="{error.scope}"'
    return told(body, **{"WWW-Authenticate": challenge})


def _job_not_included(request: HttpRequest, error: JobNotIncluded) -> HttpResponse:
    fix = f"Use a token that is for this job; it is for: {', '.join(error.principal.jobs)}."
    return told(problem(403, "job_not_included", str(error), fix=fix, field="/job"))


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    wrongs = [_wrong(e) for e in error.errors]
    first = wrongs[0]
    sentence = f"{first.field}: {first.message}" if first.field else first.message
    return told(problem(422, "invalid_request", sentence, wrongs=wrongs))


def _wrong(error: Mapping[str, Any]) -> Wrong:
    source, *path = error["loc"]
    place = pointer(path[1:]) if source == "body" else ".".join(map(str, path))
    message = str(error["msg"]).removeprefix("Value error, ")
    return Wrong(place, message, _FIXES.get(error["type"], "See the API's description."))


def _tower_error(request: HttpRequest, error: TowerError) -> HttpResponse:
    detail = dict(error.detail)
    wrongs = detail.pop("wrongs", ())
    retry_after = detail.pop("retry_after", None)
    more = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in detail.items()}
    body = problem(
        error.status, error.code, str(error), wrongs=wrongs, retry_after=retry_after, **more
    )
    return told(body, **({"Retry-After": str(retry_after)} if retry_after else {}))


def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    cause = error.__cause__
    if isinstance(cause, NotCarriedError) and cause.code != "no_json":
        wrong = Wrong(pointer(cause.parts), str(cause), cause.fix)
        return told(problem(422, cause.code, str(cause), wrongs=[wrong]))
    fix = "Send one JSON object, as UTF-8, with Content-Type: application/json."
    return told(problem(error.status_code, "unreadable", str(error), fix=fix))


def _too_large(request: HttpRequest, error: Exception) -> HttpResponse:
    return told(problem(413, "too_large", "The request is too large.", fix="Send 1 MB at most."))


def _internal_error(request: HttpRequest, error: Exception) -> HttpResponse:
    name = incident()
    log.error("incident %s: %s %s failed", name, request.method, request.path, exc_info=error)
    body = problem(
        500,
        "our_fault",
        "Internal error, logged. The request may or may not have been applied.",
        fix="Send the same request with the same Idempotency-Key again, after half a minute.",
        retry_after=30,
        incident=name,
    )
    return told(body, **{"Retry-After": "30"})


def _not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    return told(problem(404, "not_found", "There is no such resource."))


@csrf_exempt  # there is no cookie to protect: whatever is asked, the answer is no
def nowhere(request: HttpRequest, rest: str) -> HttpResponse:
    """An address that the API doesn't have."""
    fix = "GET /api/v1/openapi.json lists every operation."
    return told(problem(404, "no_such_address", f"There is no /api/v1/{rest[:80]}.", fix=fix))


def not_here(response: HttpResponse) -> HttpResponse:
    """The answer to a method that an address doesn't have."""
    allowed = response.headers.get("Allow", "")
    body = problem(
        405, "no_such_method", "This address doesn't support that method.", fix=f"Use {allowed}."
    )
    return told(body, Allow=allowed)


def _unavailable(request: HttpRequest, error: Exception) -> HttpResponse:
    body = problem(
        503,
        "unavailable",
        "The database is unreachable or overloaded. The request may or may not have been applied.",
        fix="Send the same request with the same Idempotency-Key again.",
        retry_after=5,
    )
    return told(body, **{"Retry-After": "5"})
