"""The home page and the outcome page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.accounts.registry import allows
from apps.dashboards import forms, registry, selectors
from apps.dashboards.domain.panel import HomePanel
from apps.dashboards.figures.export import as_csv
from apps.dashboards.figures.home import Home, hour, needs
from apps.dashboards.figures.panels import PANELS, build
from apps.dashboards.figures.reading import ChartReading
from apps.dashboards.figures.tiles import tiles
from apps.kernel.errors import NotFoundError, UnavailableError
from apps.outcomes.selectors import outcomes as series
from apps.runs.domain.origin import WORDS, Origin
from apps.runs.domain.states import CANCELLABLE, State

Context = dict[str, Any]
COUNTED_NOW = tuple(state for state in State if state in CANCELLABLE)


def _needs(request: HttpRequest, home: Home) -> Context:
    return {"needs": needs(cast(Any, request.user), home)}


def _counters(request: HttpRequest, home: Home) -> Context:
    counts = home.standing.by_state
    ended, urls = hour(home.origin)
    return {
        "counters": [(str(s), counts.get(s, 0)) for s in COUNTED_NOW],
        "hour": ended,
        "hour_urls": urls,
        "origin": home.origin,
        "origin_words": WORDS[home.origin],
    }


def _jobs(request: HttpRequest, home: Home) -> Context:
    return {"jobs": home.jobs, "origin_words": WORDS[home.origin]}


def _health(request: HttpRequest, home: Home) -> Context:
    return {"health": home.health, "troubles": home.troubles}


def _recent(request: HttpRequest, home: Home) -> Context:
    return {"runs": selectors.recent_runs()}


PARTS: dict[str, Callable[[HttpRequest, Home], Context]] = {
    "needs": _needs,
    "counters": _counters,
    "jobs": _jobs,
    "health": _health,
    "recent": _recent,
}


def _panels(request: HttpRequest) -> list[HomePanel]:
    """What other apps show this person here."""
    role = cast(Any, request.user).role
    return [one for one in registry.panels() if allows(role, one.permission)]


@require_GET
@requires("tower.view")
def home(request: HttpRequest) -> HttpResponse:
    """What needs me now, and how everything stands."""
    context: Context = {}
    read_once = Home()
    for read in PARTS.values():
        context |= read(request, read_once)
    context["panels"] = [
        (one, render_to_string(one.template, import_string(one.read)(), request))
        for one in _panels(request)
    ]
    return render(request, "dashboards/home.html", context)


@require_GET
@requires("tower.view")
def part(request: HttpRequest, part: str) -> HttpResponse:
    """One panel of the home page, read anew."""
    if part in PARTS:
        return render(request, f"dashboards/_{part}.html", PARTS[part](request, Home()))
    for one in _panels(request):
        if one.name == part:
            return render(request, one.template, import_string(one.read)())
    raise NotFoundError("The home page has no such part.")


@require_GET
@requires("outcomes.view")
def outcomes(request: HttpRequest) -> HttpResponse:
    """Every KPI and chart of one range and filter."""
    query = _query(request)
    reading = ChartReading(query)
    context: Context = {
        "query": query,
        "tiles": tiles(reading),
        "panels": [build(key, reading) for key in PANELS],
        "is_empty": not reading.cells,
        "choices": series.choices(query.since, query.until),
        **_controls(query),
    }
    if context["is_empty"] and (last := series.last_started(reading.scope)):
        context |= {"last": last, "last_url": query.around(last)}
    fragment = bool(getattr(request, "htmx", False))
    name = "_outcomes.html" if fragment else "outcomes.html"
    return render(request, f"dashboards/{name}", context)


def _query(request: HttpRequest) -> forms.Query:
    """What the address asks for; where it names no origin, the usual one of its stretch."""
    query = forms.read_query(request.GET, timezone.now())
    return query.showing(query.origin or series.usual_origin(query.since, query.until))


def _controls(query: forms.Query) -> Context:
    """Links of the header: each is this view with one thing changed."""
    nothing = dict.fromkeys(forms.FILTERS)
    return {
        "ranges": [(key, text, query.with_range(key)) for key, (text, _) in forms.RANGES.items()],
        "span_words": forms.RANGES[query.range][0] if query.range else "stretch of this length",
        "compare_url": query.url(compare=None if query.compare else 1),
        "origin_links": [(o, query.url(origin=o), o == query.shown) for o in forms.ORIGINS],
        "by_choices": list(forms.BY.items()),
        "by_links": [(k, v, query.url(by=k if k != "job" else None)) for k, v in forms.BY.items()],
        "refresh_choices": list(forms.REFRESH.items()),
        "refresh_words": forms.REFRESH[query.refresh],
        "active": [(n, v, query.url(**{n: None})) for n, v in query.filters.items()],
        "clear_url": query.url(**nothing),
    }


@require_GET
@requires("outcomes.view")
def csv(request: HttpRequest, chart: str) -> HttpResponse:
    """One chart's table as a file."""
    if chart not in PANELS:
        raise NotFoundError("There is no such chart.")
    query = _query(request)
    panel = build(chart, ChartReading(query))
    if panel.failed:
        raise UnavailableError("This chart could not be computed; nothing else is affected.")
    of = "" if query.shown == Origin.REAL else f"-{query.shown}"
    name = f"{chart}{of}-{query.since:%Y%m%dT%H%M}-{query.until:%Y%m%dT%H%M}.csv"
    response = HttpResponse(as_csv(panel), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
