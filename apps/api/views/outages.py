"""The page of last resort: what went wrong is told apart, and nothing is asked of the database."""

from __future__ import annotations

import logging
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.api.domain.problems import CONTENT_TYPE, problem
from apps.audit.domain.caller import incident

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5
SENTENCE = "The database can't be reached or has no room. Nothing was saved; try again in a moment."


def broken(request: HttpRequest) -> HttpResponse:
    """Answers for an exception that nobody caught (``handler500``): 503 with ``Retry-After`` while
    PostgreSQL is away, full or keeps contradicting itself; 500 for a fault of ours, with a
    name by which its lines in the log are found. Called inside
    the handling of that exception, whether a view raised it or a middleware."""
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        name = incident()
        log.error("incident %s: %s %s failed", name, request.method, request.path)
        context = {"incident": name}
        return render(None, "500.html", context, status=500)  # type: ignore[arg-type]  # no context processors
    response: HttpResponse
    if request.path_info.startswith("/api/"):
        body = problem(503, "unavailable", SENTENCE, retry_after=RETRY_AFTER_S)
        response = JsonResponse(body, status=503, content_type=CONTENT_TYPE)
    else:
        context = {"sentence": SENTENCE, "fragment": "HX-Request" in request.headers}
        response = render(None, "503.html", context, status=503)  # type: ignore[arg-type]  # as above
    response["Retry-After"] = str(RETRY_AFTER_S)
    response["Cache-Control"] = "no-store"
    return response
