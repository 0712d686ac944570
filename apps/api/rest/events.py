"""Catch up with what happened."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from apps.accounts.domain.tokens import Scope
from apps.api import selectors
from apps.api.rest import schemas
from apps.api.rest.auth import Bearer
from apps.audit import selectors as log

router = Router(tags=["events"])
BIGGEST = 2**63 - 1
TOLD = ("run.", "step.", "approval.")


@router.get(
    "/events",
    auth=Bearer(Scope.RUNS_READ),
    url_name="events",
    summary="Events after a place in the log",
    response={
        200: schemas.EventsOut,
        **dict.fromkeys((401, 403, 422, 429), schemas.ProblemOut),
    },
)
def events(
    request: HttpRequest,
    after: Annotated[int, Field(ge=0, le=BIGGEST)] = 0,
    run: Annotated[UUID | None, Query()] = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 200,
) -> dict[str, Any]:
    """What happened to runs, steps and approvals after ``after``, oldest first; of one run with
    ``run``. Of other accounts' runs only a token with ``runs:all`` hears, so that a page may
    hold less than ``limit``. Nothing is ever inserted before a ``seq`` that was told: events are
    told once the log has sealed them, some seconds after they happened."""
    feed = log.feed(after, kinds=TOLD, run_id=run, limit=limit)
    tenant = request.auth.tenant  # type: ignore[attr-defined]  # set by Bearer
    rows = selectors.of_tenant(feed.rows, tenant) if tenant else feed.rows
    # Of another account's run the end of the page would tell that it is there: it is told as none.
    is_hidden = run is not None and bool(feed.rows) and not rows
    next_after = feed.head if is_hidden else feed.next_after
    return {
        "events": [selectors.event_document(row) for row in rows],
        "next_after": next_after,
        "head": feed.head,
        "more": next_after < feed.head,
    }
