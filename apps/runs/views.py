"""Pages about runs. The URL is the state: filters, tab, open step."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseClientRedirect

from apps.accounts.authn import requires
from apps.audit import selectors as log
from apps.kernel.errors import InvalidInputError
from apps.kernel.streaming import csv_lines, download
from apps.runs import figures, reconcile, services
from apps.runs.domain.finding import LOOKED_WORDS, VERDICT_WORDS, Looked, Verdict
from apps.runs.domain.states import State
from apps.runs.forms import CancelForm, ReconcileForm, RunFilterForm
from apps.runs.selectors import detail as details
from apps.runs.selectors import runs, unknown

TABS = {
    "timeline": "Timeline",
    "conversation": "Conversation",
    "steps": "Steps",
    "decisions": "Decisions",
    "receipts": "Receipts",
    "approvals": "Approvals",
    "audit": "Audit",
    "raw": "Raw",
}
CSV_FIELDS = (
    *("id", "domain_slug", "job_slug", "contract_number", "agent_label", "source", "case_ref"),
    *("customer", "state", "outcome", "error_class", "steps_total", "retries", "had_hold"),
    *("has_violation", "tokens_in", "tokens_out", "cost_microusd"),
    *("created_at", "started_at", "finished_at"),
)
SLUGS_AT_ONCE = 200


# --- list -----------------------------------------------------------------------------------------


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
        "page": page,
        "form": form,
        "wanted": wanted,
        "active": [(*chip, _without(request, chip[0])) for chip in form.active()],
        "facets": runs.facets(),
        "states": list(State),
        "count": runs.count(wanted),
        "count_limit": runs.COUNT_LIMIT,
        "histogram": figures.histogram(runs.histogram(wanted, now=now), now=now),
        "is_first_page": cursor is None,
        "newest_at": None if page.rows else runs.newest_at(),
    }
    return render(request, "runs/list.html", context)


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
    return render(request, "runs/_news.html", {"rows": rows, "fresh": fresh})


@require_GET
@requires("runs.view")
def export_csv(request: HttpRequest) -> HttpResponseBase:
    """The list as CSV, with the same filters, newest first."""
    wanted = RunFilterForm(request.GET).wanted()
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


# --- one run --------------------------------------------------------------------------------------


@require_GET
@requires("runs.view")
def show(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """One run: header, the chosen tab, and the chosen step beside it."""
    detail = details.run_detail(run_id)
    tab = request.GET.get("tab", "timeline")
    tab = tab if tab in TABS else "timeline"
    chosen = request.GET.get("step", "")
    context = {
        **_head(detail),
        "tab": tab,
        "tabs": TABS,
        "chosen": detail.step(int(chosen)) if chosen.isdecimal() and len(chosen) < 9 else None,
        **_tab_context(request, detail, tab),
    }
    only_tab = request.htmx and request.htmx.target == "run-tab"  # type: ignore[attr-defined]  # django-htmx
    return render(request, f"runs/tabs/_{tab}.html" if only_tab else "runs/detail.html", context)


def _head(detail: details.Detail) -> dict[str, Any]:
    head = log.heads([f"run:{detail.run.id}"])[f"run:{detail.run.id}"]
    return {"detail": detail, "run": detail.run, "head": head}


def _tab_context(request: HttpRequest, detail: details.Detail, tab: str) -> dict[str, Any]:
    if tab == "timeline":
        asked = request.GET.get("offset", "0")
        offset = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
        offset = min(offset, max(0, len(detail.steps) - 1)) // figures.PAGE_LANES
        true_scale = request.GET.get("scale") == "true"
        picture = figures.timeline(
            detail, true_scale=true_scale, offset=offset * figures.PAGE_LANES
        )
        return {"timeline": picture, "true_scale": true_scale, "legend": figures.LEGEND}
    if tab == "conversation":
        lines = details.interleave(detail.messages, [v.step for v in detail.steps])
        return {"lines": lines}
    if tab == "audit":
        return {"events": log.page(log.LogFilter(run_id=detail.run.id)).rows}
    return {}


@require_GET
@requires("runs.view")
def state(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The header of a run, for live refresh."""
    return render(request, "runs/_head.html", _head(details.run_detail(run_id)))


@require_GET
@requires("runs.view")
def step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """One step in full, for the drawer."""
    view = details.step_detail(run_id, seq)
    return render(request, "runs/_step.html", {"view": view, "run": view.step.run})


@require_GET
@requires("runs.view")
def conversation(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The conversation, whole or as it stood when step ``upto`` was proposed."""
    upto = request.GET.get("upto", "")
    until = int(upto) if upto.isdecimal() and len(upto) < 9 else None
    run = details.run_by_id(run_id)
    lines = details.conversation_until(run_id, until)
    return render(request, "runs/_conversation.html", {"lines": lines, "run": run, "upto": until})


@require_GET
@requires("runs.view")
def export_json(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run as one file."""
    document = details.as_document(details.run_detail(run_id))
    response = JsonResponse(document, encoder=DjangoJSONEncoder, json_dumps_params={"indent": 2})
    response.headers["Content-Disposition"] = f'attachment; filename="run-{run_id}.json"'
    return response


@require_POST
@requires("runs.control")
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Stop a run. A run that has ended meanwhile is a conflict, told with how it ended."""
    form = CancelForm(request.POST)
    if not form.is_valid():
        raise InvalidInputError(form.errors["reason"][0], field="reason")
    services.cancel_run(run_id, actor=request.user, reason=form.cleaned_data["reason"])
    return redirect("runs:detail", run_id)


@require_POST
@requires("runs.reconcile")
def look_up(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Ask the tool whether a call whose answer was lost happened."""
    looked = reconcile.look_up(unknown.step_id_of(run_id, seq), person=request.user)
    words = f"Step {seq}: {LOOKED_WORDS[looked]}."
    (messages.success if looked is Looked.FOUND else messages.info)(request, words)
    return _to_step(request, run_id, seq)


@require_POST
@requires("runs.reconcile")
def resolve(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Say what was found out about a call whose answer was lost."""
    form = ReconcileForm(request.POST)
    if not form.is_valid():
        name, told = next(iter(form.errors.items()))
        raise InvalidInputError(told[0], field=name)
    verdict = Verdict(form.cleaned_data["verdict"])
    settles = reconcile.resolve(
        unknown.step_id_of(run_id, seq),
        round_number=form.cleaned_data["round"],
        verdict=verdict,
        evidence=form.cleaned_data["evidence"],
        person=request.user,
    )
    after = "" if settles else " Noted: a second person has to say the same."
    messages.success(request, f"Step {seq}: {VERDICT_WORDS[verdict]}.{after}")
    return _to_step(request, run_id, seq)


def _to_step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """The run's page with the step open; htmx is told to load it as a whole."""
    url = f"{reverse('runs:detail', args=[run_id])}?step={seq}"
    is_htmx = request.htmx  # type: ignore[attr-defined]  # django-htmx
    return HttpResponseClientRedirect(url) if is_htmx else redirect(url)


# --- parts of other pages -------------------------------------------------------------------------


@require_GET
@requires("runs.view")
def for_job(request: HttpRequest, slug: str) -> HttpResponse:
    """A job's latest runs, for its page in the catalog."""
    return render(request, "runs/_for_job.html", {"rows": runs.of_job(slug), "slug": slug})


@require_GET
@requires("runs.view")
def job_stats(request: HttpRequest) -> JsonResponse:
    """Numbers of the last seven days by job, for the catalog's table."""
    slugs = [s for s in request.GET.get("slugs", "").split(",") if s][:SLUGS_AT_ONCE]
    found = runs.job_stats(slugs, now=timezone.now())
    return JsonResponse(
        {
            slug: {
                "runs": s.runs,
                "finished": s.finished,
                "succeeded": s.succeeded,
                "success": s.success,
                "waiting": s.waiting,
            }
            for slug, s in found.items()
        }
    )


@require_GET
@requires("runs.view")
def tool_health(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    """A tool's last day, for its page in the catalog."""
    found = runs.tool_health(domain, name)
    context = {"health": found, "domain": domain, "name": name}
    return render(request, "runs/_tool_health.html", context)
