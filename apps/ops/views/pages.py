"""One run: header, tabs, steps. The URL is the state: tab and open step."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.audit import selectors as log
from apps.audit.services import reading
from apps.calls.services import hiding
from apps.kernel import exactjson
from apps.ops import figures
from apps.ops.selectors import detail as details
from apps.ops.selectors import holding, objects
from apps.runs.selectors import undo_plans

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
    return render(request, f"ops/tabs/_{tab}.html" if only_tab else "ops/detail.html", context)


def _head(detail: details.Detail) -> dict[str, Any]:
    head = log.heads([f"run:{detail.run.id}"])[f"run:{detail.run.id}"]
    plan = detail.plan
    return {
        "detail": detail,
        "run": detail.run,
        "head": head,
        "plan": plan,
        "named": objects.named_by(detail.run.id),
        "hides": (detail.run.root_id or detail.run.id) if hiding.names_of(detail.run) else None,
        "can_undo": undo_plans.can_begin(detail.run, plan),
    }


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
    """The header of a run and what can be done about it, for live refresh."""
    return render(request, "ops/_state.html", _head(details.run_detail(run_id)))


@require_GET
@requires("runs.view")
def step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """One step in full, for the drawer."""
    view = details.step_detail(run_id, seq)
    return render(request, "ops/_step.html", {"view": view, "run": view.step.run})


@require_GET
@requires("runs.view")
def conversation(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The conversation, whole or as it stood when step ``upto`` was proposed."""
    upto = request.GET.get("upto", "")
    until = int(upto) if upto.isdecimal() and len(upto) < 9 else None
    run = details.run_by_id(run_id)
    lines = details.conversation_until(run_id, until)
    return render(request, "ops/_conversation.html", {"lines": lines, "run": run, "upto": until})


@require_GET
@requires("runs.view")
def held(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """What whoever decides about a held step has to know of its run."""
    return render(request, "ops/_held.html", {"held": holding.held_step(approval_id)})


@require_GET
@requires("runs.view")
def export_json(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run as one file."""
    document = details.as_document(details.run_detail(run_id))
    reading.taken(request.user.actor, "run", run_id, run_id=run_id)
    text = exactjson.dumps(document, indent=True)
    response = HttpResponse(text, content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="run-{run_id}.json"'
    return response
