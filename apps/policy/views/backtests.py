"""A draft tried on what really happened: how far it is, what would change, and who would wait."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.accounts.models import User
from apps.kernel.errors import TowerError
from apps.policy import selectors, services
from apps.policy.domain.backtest import BacktestTally
from apps.policy.domain.queueing import Wait, wait
from apps.policy.models import Backtest
from apps.policy.views.pages import get_set

PART = "policy/_backtest.html"
DAYS, MINUTES, WINDOW = 7, 2, 60
SERIES = ("var(--series-1)", "var(--series-2)")


@dataclass(frozen=True, slots=True)
class Assumed:
    """What the forecast takes for granted: how many people decide at a time, how long each takes,
    and how long a request may wait."""

    people: int
    minutes: int
    window: int


@dataclass(frozen=True, slots=True)
class Busiest:
    """The hour of the day in which a role has most to decide."""

    role: str
    hour: int
    before: float  # requests in an hour
    after: float
    wait_before: Wait
    wait_after: Wait

    @property
    def mean(self) -> str:
        return _minutes(self.wait_after.mean_s)

    @property
    def mean_before(self) -> str:
        return _minutes(self.wait_before.mean_s)

    @property
    def late(self) -> int:
        return round(100 * self.wait_after.late)

    @property
    def busy(self) -> str:
        share = self.wait_after.busy
        return "more than they have" if share >= 1 else f"{round(100 * share)} % of their time"


def _minutes(seconds: float) -> str:
    if isinf(seconds):
        return "without end: the queue grows"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


@require_GET
@requires("policy.view")
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """The latest one, as a part of the draft's page."""
    return _part(request, slug)


@require_POST
@requires("policy.edit")
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Begin one."""
    days = _number(request.POST.get("days"), 0, 1_000)
    try:
        services.begin_backtest(get_set(slug), days=days, actor=request.user)
    except TowerError as error:
        return _part(request, slug, error=str(error), status=error.status)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("policy:draft", slug=slug)
    return _part(request, slug)


def _part(request: HttpRequest, slug: str, *, error: str = "", status: int = 200) -> HttpResponse:
    found = get_set(slug)
    latest, draft = selectors.backtest_of(found), selectors.draft_of(found)
    tally = BacktestTally.from_json(latest.tally) if latest else BacktestTally()
    assumed = _assumed(request)
    context = {
        "set": found,
        "draft": draft,
        "latest": latest,
        "stale": latest is not None and (draft is None or draft.text != latest.text),
        "tally": tally,
        "moves": [
            (name, words, n, tally.examples.get(name, ())) for name, words, n in tally.moves()
        ],
        "missed": [(why, n, tally.examples.get(f"missed: {why}", ())) for why, n in _sorted(tally)],
        "newly": {what: tally.newly(what) for what in ("approved", "held", "denied")},
        "assumed": assumed,
        "busiest": list(_busiest(tally, latest.days, assumed)) if latest else [],
        "charts": [_chart(r, h, latest) for r, h in sorted(tally.hours.items())] if latest else [],
        "error": error,
        "days": DAYS,
    }
    return render(request, PART, context, status=status)


def _sorted(tally: BacktestTally) -> list[tuple[str, int]]:
    return sorted(tally.missed.items(), key=lambda pair: -pair[1])


def _assumed(request: HttpRequest) -> Assumed:
    asked = request.GET
    return Assumed(
        _number(asked.get("people"), _deciders(), 1_000),
        _number(asked.get("minutes"), MINUTES, 600) or 1,
        _number(asked.get("window"), WINDOW, 10_000),
    )


def _number(written: str | None, otherwise: int, most: int) -> int:
    is_number = written is not None and written.isascii() and written.isdigit()
    return min(int(written[:9]), most) if is_number and written else otherwise


def _deciders() -> int:
    """How many people may decide."""
    return User.objects.filter(is_active=True, role__in=services.deciding_roles()).count()


def _busiest(tally: BacktestTally, days: int, assumed: Assumed) -> Iterator[Busiest]:
    for role, hours in sorted(tally.hours.items()):
        hour = max(range(24), key=lambda h: (hours[h][1], hours[h][0]))
        before, after = (held / days for held in hours[hour])
        yield Busiest(role, hour, before, after, _wait(before, assumed), _wait(after, assumed))


def _wait(per_hour: float, assumed: Assumed) -> Wait:
    return wait(per_hour, assumed.people, assumed.minutes, 60 * assumed.window)


def _chart(role: str, hours: Sequence[Sequence[int]], latest: Backtest) -> dict[str, Any]:
    """Held requests by hour of the day, in force and under the draft, a day."""
    sides = [("In force", 0, ""), ("Draft", 1, "/")]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": list(range(24)),
            "y": [round(hour[side] / latest.days, 2) for hour in hours],
            "marker": {"color": SERIES[side], "pattern": {"shape": shape}},
        }
        for name, side, shape in sides
    ]
    axis = {"gridcolor": "var(--line)", "fixedrange": True}
    layout = {
        "height": 260,
        "barmode": "group",
        "font": {"family": "var(--font)", "size": 12, "color": "var(--text)"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 48, "r": 16, "t": 8, "b": 40},
        "legend": {"orientation": "h", "y": 1.15},
        "xaxis": {**axis, "title": {"text": "Hour of the day (UTC)"}, "dtick": 3},
        "yaxis": {**axis, "title": {"text": "Held, a day"}, "rangemode": "tozero"},
    }
    rows = [(n, *(round(hour[s] / latest.days, 2) for s in (0, 1))) for n, hour in enumerate(hours)]
    figure = json.dumps({"data": data, "layout": layout})
    return {"role": role, "figure": figure, "rows": [row for row in rows if row[1] or row[2]]}
