"""The load page: what waits, what is held back and why, live."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.kernel.errors import InvalidInputError
from apps.ops.figures.load import multiples
from apps.ops.forms import CapForm
from apps.ops.selectors import load, outlook, stops
from apps.runs.models import Cap
from apps.runs.selectors.load import running_by
from apps.runs.services import admitting, caps
from apps.web.adapters.landing import land

CHARTED_S = 900
SAMPLES_LATE_S = 30.0


@require_GET
@requires("runs.view")
def index(request: HttpRequest) -> HttpResponse:
    """The whole page; its first half alone for the poll."""
    if getattr(request, "htmx", False):
        return render(request, "ops/_load.html", _now())
    return render(request, "ops/load.html", {**_now(), **_charts(), **_cap_form(CapForm())})


@require_GET
@requires("runs.view")
def charts(request: HttpRequest) -> HttpResponse:
    """The charts, read anew."""
    return render(request, "ops/_load_charts.html", _charts())


def _now() -> dict[str, Any]:
    now = admitting.reading()
    classes, jobs = outlook.classes(now), outlook.jobs(now)
    deferred, shed = load.deferred(), load.shed()
    oldest = load.oldest_queued()
    return {
        "at": timezone.now(),
        "classes": [(row, oldest.get(row.cls)) for row in classes],
        "turned_away": [row for row in classes if row.answer != "accepted"],
        "jobs": jobs,
        "waiting_for_people": [row for row in jobs if row.waits],
        "open_questions": sum(a.waiting for a in now.asked),
        "decided": sum(a.decided_last_hour for a in now.asked),
        "deferred": deferred,
        "deferred_count": sum(h.count for h in deferred),
        "shed": shed,
        "shed_count": sum(h.count for h in shed),
        "queued": sum(now.queued.values()),
        "per_s": now.per_s,
        "tools": (tools := load.tools()),
        "running": sum(t.running for t in tools),
        "parked": load.parked(),
        "caps": _caps(),
    }


def _caps() -> list[Cap]:
    running = running_by() if (found := load.caps()) else {}
    for cap in found:
        cap.in_use = running.get((cap.scope, cap.key), 0)  # type: ignore[attr-defined]  # for the page
    return found


def _charts() -> dict[str, Any]:
    samples = load.samples(CHARTED_S)
    runs, late = reverse("runs:list"), True
    if samples:
        late = (timezone.now() - samples[-1].at).total_seconds() > SAMPLES_LATE_S
    urls = {
        "queued": f"{runs}?state=queued",
        "deferred": f"{runs}?state=accepted",
        "open": reverse("approvals:queue"),
        "runs": runs,
        "leases": f"{runs}?state=running",
        "calls": f"{runs}?state=running",
    }
    shown = multiples(samples, urls=urls) if len(samples) > 1 else []
    return {"multiples": shown, "last_sample": samples[-1].at if samples else None, "late": late}


@require_POST
@requires("load.control")
def set_cap(request: HttpRequest) -> HttpResponse:
    """Set a cap, or replace it. A form that makes no sense is shown again as it was typed."""
    form = CapForm(request.POST)
    if not _is_good(form):
        if request.htmx:  # type: ignore[attr-defined]  # django-htmx
            return render(request, "ops/_load_cap_form.html", _cap_form(form), status=422)
        context = {**_now(), **_charts(), **_cap_form(form)}
        return render(request, "ops/load.html", context, status=422)
    said = form.cleaned_data
    caps.set_cap(**said, actor=request.user.actor)
    messages.success(request, f"Capped: {said['scope']} {said['key']}.")
    return land(request, "load:index")


def _is_good(form: CapForm) -> bool:
    """A tenant is whatever callers say; a cap on a tool, a job or an agent that doesn't exist would
    cap nothing."""
    form.is_valid()
    scope, key = form.cleaned_data.get("scope", ""), form.cleaned_data.get("key", "")
    if scope and key and scope != Cap.Scope.TENANT:
        try:
            stops.parse(f"{scope} {key}")
        except InvalidInputError:
            form.add_error("key", f"There is no {scope} “{key}”: choose its name from the list.")
    return not form.errors


def _cap_form(form: CapForm) -> dict[str, Any]:
    names = [(what.partition(" ")[2], title) for what, title in stops.choices()]
    return {"form": form, "cap_names": names}


@require_POST
@requires("load.control")
def remove_cap(request: HttpRequest) -> HttpResponse:
    """Lift a cap."""
    scope, key = request.POST.get("scope", ""), request.POST.get("key", "")
    caps.remove_cap(scope, key, actor=request.user.actor)
    messages.success(request, f"The cap of {scope} {key} is lifted.")
    return land(request, "load:index")
