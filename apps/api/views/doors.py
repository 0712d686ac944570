"""Health for machines, catch-up for pages whose socket is down, and the system page
with what can be done there."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST, require_safe

from apps.accounts.authn import requires
from apps.api.live import streams
from apps.audit import selectors as log
from apps.catalog import adapters as servers
from apps.ops.selectors import health, troubles
from apps.runs.services import workers


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, so that it is always quick. It says which start
    of which tower it belongs to: whoever started it would else believe any other's."""
    told = {"Tower-Instance": settings.INSTANCE}
    return HttpResponse("ok\n", content_type="text/plain", headers=told)


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Whether the installation does its work; 503 names each thing that keeps it from that, and
    what to do. Anybody may ask, so what came from outside is left out."""
    found = troubles.readiness()
    parts = {"database": found.database, "redis": found.redis, "worker": found.worker}
    body: dict[str, Any] = {"status": "ready" if found.is_ready else "degraded", **parts}
    body["problems"] = [
        {"kind": t.kind, "problem": t.sentence, "do": t.mend, "grave": t.is_grave}
        for t in found.troubles
    ]
    return JsonResponse(body, status=200 if found.is_ready else 503)


@require_GET
@requires("tower.view")
def heads(request: HttpRequest) -> JsonResponse:
    """How far each stream has come: what a heartbeat says, for pages without a socket."""
    wanted = streams.parse(request.GET.get("streams", ""))
    if not streams.may_hear(request.user, wanted):
        return JsonResponse({"error": "not_permitted"}, status=403)
    return JsonResponse({"head": log.heads(wanted)})


@require_GET
@requires("tower.view")
def events(request: HttpRequest) -> JsonResponse:
    """What was missed on a stream after ``after``: ids only, as on the socket."""
    stream = request.GET.get("stream", "")
    after = request.GET.get("after", "0")
    if not after.isdecimal() or len(after) > 18:
        return JsonResponse({"error": "invalid_input", "field": "after"}, status=422)
    if not streams.may_hear(request.user, frozenset({stream})):
        return JsonResponse({"error": "not_permitted"}, status=403)
    rows = log.events_after(stream, int(after))
    found = [{"stream": stream, "seq": r.pk, "kind": r.kind, "id": r.subject_id} for r in rows]
    return JsonResponse({"events": found, "head": log.heads([stream])[stream]})


@require_GET
@requires("tower.view")
def system(request: HttpRequest) -> HttpResponse:
    """Workers, queue, duties, breakers, tool servers and latencies, as of now."""
    name = "api/_system.html" if request.htmx else "api/system.html"  # type: ignore[attr-defined]  # django-htmx
    seen = health.overview()
    context = {
        "health": seen,
        "troubles": troubles.troubles(seen),
        "servers": servers.standings(),
        "server_problems": servers.problems(),
        "subscriptions": log.subscriptions(),
    }
    return render(request, name, context)


@require_POST
@requires("workers.control")
def drain(request: HttpRequest) -> HttpResponse:
    """Have one worker, or all, finish what they hold and take nothing new."""
    drained = workers.drain_workers(request.user.actor, names=_names(request))
    noun = "worker" if len(drained) == 1 else "workers"
    messages.success(
        request, f"{len(drained)} {noun} will finish current calls and take no new work."
    )
    return redirect("api:system")


@require_POST
@requires("workers.control")
def let_work(request: HttpRequest) -> HttpResponse:
    """Let one drained worker, or all, take work again."""
    found = workers.let_work(request.user.actor, names=_names(request))
    noun = "worker" if len(found) == 1 else "workers"
    messages.success(request, f"{len(found)} {noun} resumed.")
    return redirect("api:system")


def _names(request: HttpRequest) -> list[str]:
    return [name for name in request.POST.getlist("name") if name]
