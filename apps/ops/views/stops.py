"""What is stopped, placing and lifting a stop, and a tool's breaker by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.catalog import selectors as catalog
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.ops.selectors import breakers, stops
from apps.runs.domain.barrier import StopScope
from apps.runs.journal.breakers import host_of
from apps.runs.selectors.stops import placed_by, what_words
from apps.runs.services import stops as control
from apps.web.adapters.landing import land


@require_GET
@requires("tower.view")
def index(request: HttpRequest) -> HttpResponse:
    """What is stopped now, and what was. With ``what`` in the address: what stopping that would
    do, before anybody confirms it."""
    what = request.GET.get("what", "").strip()
    found, wrong = _preview(what)
    context = {
        "stops": stops.in_force(),
        "history": stops.history(),
        "choices": stops.choices(),
        "what": what,
        "wrong": wrong,
        "preview": found,
        "stopped": placed_by(found.scope, found.target) if found else None,
        "typed": control.TYPED if found and found.scope is StopScope.EVERYTHING else "",
    }
    return render(request, "ops/stops.html", context, status=422 if wrong else 200)


def _preview(what: str) -> tuple[stops.StopPreview | None, str]:
    if not what:
        return None, ""
    try:
        return stops.preview(*stops.parse(what)), ""
    except InvalidInputError as error:
        return None, str(error)


@require_GET
@requires("tower.view")
def figures(request: HttpRequest, stop_id: int) -> HttpResponse:
    """How those fare whom a stop holds and lets go on, for refresh while the page is open."""
    return render(request, "ops/_stop_figures.html", {"held": stops.one(stop_id)})


@require_POST
@requires("stops.place")
def place(request: HttpRequest) -> HttpResponse:
    """Stop something. Everything is stopped only if it was typed."""
    scope, target = stops.parse(request.POST.get("what", ""))
    typed = " ".join(request.POST.get("typed", "").lower().split())
    if scope is StopScope.EVERYTHING and typed != control.TYPED:
        raise InvalidInputError(f"Type “{control.TYPED}” to confirm.", field="typed")
    control.place_stop(scope, target, reason=_reason(request), person=request.user)
    messages.success(request, f"{what_words(scope, target)} is stopped.")
    return land(request, "stops:index")


@require_POST
@requires("stops.place")
def stage(request: HttpRequest, stop_id: int) -> HttpResponse:
    """Let the next part of the runs go on, or none again."""
    if request.POST.get("hold"):
        control.hold_again(stop_id, person=request.user)
        messages.success(request, "No run goes on: the stop holds all of them again.")
        return land(request, "stops:index")
    percent = control.let_go_on(stop_id, seen=_seen(request), person=request.user)
    messages.success(request, f"{percent} % of the runs go on.")
    return land(request, "stops:index")


@require_POST
@requires("stops.place")
def lift(request: HttpRequest, stop_id: int) -> HttpResponse:
    """Lift a stop for all."""
    control.lift_stop(stop_id, reason=_reason(request), person=request.user)
    messages.success(request, "The stop is lifted: what waited goes on.")
    return land(request, "stops:index")


def _seen(request: HttpRequest) -> int:
    text = request.POST.get("seen", "")
    if not text.isdecimal() or len(text) > 3:
        raise InvalidInputError("Reload the page and choose the stage again.", field="seen")
    return int(text)


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


# --- breakers -------------------------------------------------------------------------------------


def breaker_context(domain: str, name: str) -> dict[str, Any]:
    """What the fragment about a tool's breakers shows."""
    tool = f"{domain}/{name}"
    try:
        host = host_of(catalog.get_tool(domain, name).server.slug)
    except NotFoundError:  # a tool that has left the catalog
        host = host_of(domain)
    return {
        "breakers": breakers.of_tool(tool, host),
        "changes": breakers.history(tool),
        "domain": domain,
        "name": name,
        "tool": tool,
    }


@require_GET
@requires("runs.view")
def breaker(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    """A tool's breakers as they stand, for refresh while the page is open."""
    return render(request, "ops/_breaker_states.html", breaker_context(domain, name))


@require_POST
@requires("stops.place")
def move_breaker(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    """Open a tool's breaker by hand, or let it be tried."""
    tool = catalog.get_tool(domain, name)
    opens = request.POST.get("to") == "open"
    move = control.open_breaker if opens else control.close_breaker
    host = request.POST.get("host", "")[:255]
    move(f"{domain}/{tool.name}", host, reason=_reason(request), person=request.user)
    said = "is held open until a person closes it" if opens else "is being tried"
    messages.success(request, f"The breaker of {tool.name} {said}.")
    return land(request, "catalog:tool", domain, tool.name)
