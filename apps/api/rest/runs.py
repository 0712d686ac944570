"""Runs: start, read, cancel."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router
from pydantic import Field

from apps.accounts.domain.tokens import Principal, Scope
from apps.api import selectors, services
from apps.api.rest import schemas
from apps.api.rest.auth import Bearer, may_start
from apps.api.rest.idempotent import HEADER, keyed, respond
from apps.kernel import exactjson
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.ops.selectors import detail
from apps.ops.selectors import runs as listing
from apps.outcomes.domain.counting import CountsAs
from apps.runs.domain.origin import Origin
from apps.runs.domain.states import State

if TYPE_CHECKING:
    from apps.runs.models import Run

router = Router(tags=["runs"])
MOST_CONTRACT = 2**31 - 1
READ = Bearer(Scope.RUNS_READ)
PROBLEMS = dict.fromkeys((401, 403, 429), schemas.ProblemOut)
CHANGES = {**PROBLEMS, 400: schemas.ProblemOut, 409: schemas.ProblemOut, 422: schemas.ProblemOut}
KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": True,
            "description": "A fresh UUID with each new request, the same one to repeat it.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    ]
}


@router.post(
    "/runs",
    auth=Bearer(Scope.RUNS_START),
    url_name="runs",
    summary="Start a run",
    response={202: schemas.RunOut, 200: schemas.RunOut, **CHANGES, 503: schemas.ProblemOut},
    openapi_extra=KEY,
)
def start(request: HttpRequest, payload: schemas.RunIn) -> HttpResponse:
    """202: accepted (``deferred_until`` set when it begins later). 200: the same request came
    before, here is its answer. 429: the tower has too much to do; nothing was begun."""
    principal = _caller(request)
    script = payload.script
    may_start(principal, payload.job, is_scripted=script is not None)
    wanted = services.RunRequest(
        job=payload.job,
        input=payload.input,
        customer=payload.customer,
        reference=payload.reference,
        messages=[(m.role, m.content) for m in payload.messages],
        script=None if script is None else [i.model_dump(exclude_unset=True) for i in script],
        context=payload.context,
        batch=payload.batch,
    )
    return respond(services.start(keyed(request), wanted, principal=principal))


@router.get(
    "/runs",
    auth=READ,
    url_name="runs",
    summary="List runs",
    response={200: schemas.RunsOut, **PROBLEMS, 422: schemas.ProblemOut},
)
def runs(
    request: HttpRequest,
    state: Annotated[list[State], Query()] = [],  # noqa: B006  # read by pydantic, never changed
    counts_as: Annotated[list[CountsAs], Query()] = [],  # noqa: B006  # likewise
    outcome: str = "",
    domain: str = "",
    job: str = "",
    contract: Annotated[int | None, Field(ge=1, le=MOST_CONTRACT)] = None,
    agent: str = "",
    counted: bool = False,
    source: str = "",
    origin: Origin | None = None,
    reference: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    numbers: bool = False,
    limit: Annotated[int, Field(ge=1, le=100)] = 50,
    cursor: str = "",
) -> dict[str, Any]:
    """Newest first. Follow ``next``: a page begins where the last one ended, whatever came
    since. ``counted`` leaves out forks, as all pages do that show numbers, unless a source is
    asked for. ``numbers`` tells what the runs of all pages came to; it needs ``since``."""
    before = listing.Cursor.parse(cursor) if cursor else None
    if cursor and before is None:
        fix = "Follow the address in “next” as it is."
        raise InvalidInputError("This cursor can't be read.", field="cursor", fix=fix)
    if numbers and since is None:
        fix = "Send “since”: the moment from which runs are counted."
        raise InvalidInputError(
            "“numbers” needs a start of the time range.", field="since", fix=fix
        )
    wanted = listing.RunFilter(
        states=tuple(map(str, state)),
        counts_as=tuple(counts_as),
        outcome=outcome,
        domain=domain,
        job=job,
        contract=contract,
        agent=agent,
        counted=counted,
        source=source,
        origin=origin or "",
        reference=reference,
        tenant=_caller(request).tenant,
        since=since,
        until=until,
    )
    page = listing.page(wanted, before=before, size=limit)
    return {
        "runs": [selectors.run_document(row.run) for row in page.rows],
        "next": _next(request, page.older) if page.older else "",
        "numbers": selectors.numbers_document(listing.numbers(wanted)) if numbers else None,
    }


def _next(request: HttpRequest, cursor: str) -> str:
    asked = [(k, v) for k, values in request.GET.lists() if k != "cursor" for v in values]
    return f"{reverse('rest:runs')}?{urlencode([*asked, ('cursor', cursor)])}"


def _caller(request: HttpRequest) -> Principal:
    return cast(Principal, request.auth)  # type: ignore[attr-defined]  # set by Bearer


def _open(request: HttpRequest, run_id: UUID) -> Run:
    """The run, if it is open to this token: somebody else's is none, so that nobody can try which
    ones there are. Raises NotFoundError."""
    run = detail.run_by_id(run_id)
    if not _caller(request).may_see(run.tenant):
        raise NotFoundError("There is no such run.")
    return run


ONE = {**PROBLEMS, 404: schemas.ProblemOut}


@router.get(
    "/runs/{uuid:run_id}",
    auth=READ,
    url_name="run",
    summary="Read a run",
    response={200: schemas.RunWithResultOut, **ONE},
)
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """How a run stands now, and what it gave back."""
    document = selectors.with_result(_open(request, run_id))
    return HttpResponse(exactjson.dumps(document), content_type="application/json")


@router.post(
    "/runs/{uuid:run_id}/cancel",
    auth=Bearer(Scope.RUNS_CANCEL),
    url_name="cancel",
    summary="Cancel a run",
    response={200: schemas.RunOut, **CHANGES, 404: schemas.ProblemOut},
    openapi_extra=KEY,
)
def cancel(request: HttpRequest, run_id: UUID, payload: schemas.CancelIn) -> HttpResponse:
    """Stop a run for good. What is on its way to a tool is finished and recorded; nothing further
    starts. 409 ``run_ended`` when the run had ended by itself."""
    asked = keyed(request)
    _open(request, run_id)
    return respond(services.cancel(asked, run_id, reason=payload.reason))


@router.get(
    "/runs/{uuid:run_id}/steps",
    auth=READ,
    url_name="steps",
    summary="The steps of a run",
    response={200: schemas.StepsOut, **ONE},
)
def steps(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Every proposed call in order, and what became of it."""
    _open(request, run_id)
    found = detail.run_detail(run_id)
    return {"run": run_id, "steps": [selectors.step_document(v) for v in found.steps]}


@router.get(
    "/runs/{uuid:run_id}/receipts",
    auth=READ,
    url_name="receipts",
    summary="The receipts of a run",
    response={200: schemas.ReceiptsOut, **ONE},
)
def receipts(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """The evidence of every call that was answered."""
    _open(request, run_id)
    found = detail.run_detail(run_id)
    return {
        "run": run_id,
        "receipts": [selectors.receipt_document(v.receipt, v) for v in found.steps if v.receipt],
    }
