"""The list of runs. The URL is the state."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.audit import selectors as log
from apps.audit.services import reading
from apps.kernel.streaming import csv_lines, download
from apps.ops import figures
from apps.ops.forms import RunFilterForm
from apps.ops.selectors import detail as details
from apps.ops.selectors import objects, runs
from apps.outcomes.domain.counting import WORDS as COUNTED
from apps.runs.domain.origin import Origin
from apps.runs.domain.states import State

MOST_QUERY = 500  # characters of an address that an event keeps
CSV_FIELDS = (
    *("id", "domain_slug", "job_slug", "contract_number", "agent_label", "source", "origin"),
    *(
        "case_ref",
        "customer",
        "state",
        "outcome",
        "error_class",
        "steps_total",
        "retries",
        "had_hold",
    ),
    *("has_violation", "tokens_in", "tokens_out", "cost_microusd"),
    *("created_at", "started_at", "finished_at"),
)


@require_GET
@requires("runs.view")
def index(request: HttpRequest) -> HttpResponse:
    """The list. A pasted run id goes straight to its run."""
    if (text := request.GET.get("q", "").strip()) and (run_id := details.find_run(text)):
        return redirect("runs:detail", run_id)
    form = RunFilterForm(request.GET)
    wanted, now = form.wanted(), timezone.now()
    cursor = runs.Cursor.parse(request.GET.get("before", ""))
    head = log.heads(["runs"])["runs"]  # before the rows, so that nothing falls in between
    page = runs.page(wanted, before=cursor)
    context = {
        "head": head,
        "things": objects.known_among(wanted.text),
        "page": page,
        "form": form,
        "wanted": wanted,
        "active": [(*chip, _without(request, chip[0])) for chip in form.active()],
        "facets": runs.facets(),
        "states": list(State),
        "origins": list(Origin),
        "counted_as": [(str(kind), word) for kind, word in COUNTED.items()],
        "count": runs.count(wanted),
        "count_limit": runs.COUNT_LIMIT,
        "histogram": figures.histogram(runs.histogram(wanted, now=now), now=now),
        "is_first_page": cursor is None,
        "newest_at": None if page.rows else runs.newest_at(),
    }
    return render(request, "ops/list.html", context)


def _without(request: HttpRequest, name: str) -> str:
    """The page's address with one filter taken out."""
    params = request.GET.copy()
    for field in (name, "before"):
        params.pop(field, None)
    return f"?{params.urlencode()}"


@require_GET
@requires("runs.view")
def news(request: HttpRequest) -> HttpResponse:
    """For a list that stands open: the rows it shows, as they are now, and how many are new."""
    ids = [_uuid(text) for text in request.GET.get("ids", "").split(",")[: runs.PAGE]]
    wanted = RunFilterForm(request.GET).wanted()
    newest = runs.Cursor.parse(request.GET.get("newest", ""))
    rows = runs.rows_by_id([run_id for run_id in ids if run_id])
    fresh = runs.newer_than(wanted, newest) if newest else 0
    return render(request, "ops/_news.html", {"rows": rows, "fresh": fresh})


@require_GET
@requires("runs.view")
def export_csv(request: HttpRequest) -> HttpResponseBase:
    """The list as CSV, with the same filters, newest first."""
    wanted = RunFilterForm(request.GET).wanted()
    asked = request.GET.urlencode()[:MOST_QUERY]
    reading.taken(request.user.actor, "runs", "list", what={"query": asked})
    rows = ([_csv_value(getattr(run, f)) for f in CSV_FIELDS] for run in runs.export(wanted))
    name = f"runs-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    lines = csv_lines(CSV_FIELDS, rows)
    return download(request, lines, content_type="text/csv; charset=utf-8", filename=name)


def _csv_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value) if value else value


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
