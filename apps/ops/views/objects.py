"""Everything agents did to one thing. The URL is the state."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.audit.services import reading
from apps.kernel.moments import moment
from apps.kernel.streaming import csv_lines, download
from apps.ops.selectors import objects

LONGEST_ID, WORD = 120, 60
CSV_FIELDS = (
    *("at", "named_as", "id", "domain", "job", "run", "step", "tool", "effect", "state"),
    *("amount_cents", "asked", "sentence", "by", "decided_at", "reason", "origin"),
)


@require_GET
@requires("runs.view")
def show(request: HttpRequest) -> HttpResponse:
    """The list, newest first; without an id, the field to type one."""
    wanted, wrong = _wanted(request)
    before = request.GET.get("before", "")
    cursor = objects.ObjectCursor.parse(before)
    context: dict[str, Any] = {
        "wanted": wanted,
        "wrong": wrong,
        "kinds": objects.KINDS,
        "is_first_page": cursor is None,
        "is_filtered": any((wanted.kind, wanted.domain, wanted.since, wanted.until)),
    }
    if wanted.object_id:
        context |= {
            "page": objects.page(wanted, before=cursor),
            "count": objects.count(wanted),
            "count_limit": objects.COUNT_LIMIT,
            "names": objects.names_of(wanted.object_id),
            "domains": objects.domains_of(wanted.object_id),
        }
    return render(request, "ops/object.html", context)


@require_GET
@requires("runs.view")
def export_csv(request: HttpRequest) -> HttpResponseBase:
    """The same as CSV, with the same filters."""
    wanted, _ = _wanted(request)
    reading.taken(request.user.actor, "object", wanted.object_id, what={"kind": wanted.kind})
    rows = (_line(touch) for touch in objects.export(wanted))
    name = f"object-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    lines = csv_lines(CSV_FIELDS, rows)
    return download(request, lines, content_type="text/csv; charset=utf-8", filename=name)


def _wanted(request: HttpRequest) -> tuple[objects.ObjectFilter, list[str]]:
    """What the address asks for, and what of it can't be understood and is left out."""
    asked = {n: request.GET.get(n, "").strip() for n in ("id", "kind", "domain", "from", "to")}
    times = {name: moment(asked[name]) for name in ("from", "to")}
    kind = asked["kind"] if asked["kind"] in objects.KINDS else ""
    wrong = [name for name, at in times.items() if asked[name] and at is None]
    wrong += ["kind"] if asked["kind"] and not kind else []
    wanted = objects.ObjectFilter(
        object_id=asked["id"].replace("\x00", "")[:LONGEST_ID],
        kind=kind,
        domain=asked["domain"].replace("\x00", "")[:WORD],
        since=times["from"],
        until=times["to"],
    )
    return wanted, wrong


def _line(touch: objects.Touch) -> list[Any]:
    reference, run, step, asked = touch.reference, touch.run, touch.step, touch.asked
    told = [
        asked.state if asked else "",
        asked.sentence if asked else "",
        asked.decided_by.username if asked and asked.decided_by else "",
        asked.decided_at.isoformat() if asked and asked.decided_at else "",
        asked.reason if asked else "",
    ]
    return [
        reference.at.isoformat(),
        *(reference.field, reference.value),
        *((run.domain_slug, run.job_slug) if run else ("", "")),
        *(str(reference.run_id), str(step.seq) if step else ""),
        *(step.tool_name if step else "", reference.effect, touch.state),
        "" if touch.amount_cents is None else str(touch.amount_cents),
        *told,
        run.origin if run else "",
    ]
