"""Files of what tools answered. They come from outside: a browser is never to show or run one."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.ops.selectors import answers


@require_GET
@requires("runs.view")
def whole(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """A step's answer as one JSON file."""
    return _file(answers.whole(run_id, seq), f"run-{run_id}-step-{seq}-answer.json")


@require_GET
@requires("runs.view")
def part(request: HttpRequest, run_id: UUID, seq: int, number: int) -> HttpResponse:
    """One part of a step's answer."""
    name, body = answers.file_of(run_id, seq, number)
    return _file(body, name)


def _file(body: bytes, name: str) -> HttpResponse:
    response = HttpResponse(body, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
