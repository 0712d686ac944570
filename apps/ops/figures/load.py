"""Small multiples of the load over the last minutes: Plotly figures as plain dicts, with the same
numbers as a table. Colours are names of CSS variables, which ``charts.js`` resolves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from apps.runs.models import LoadSample
from apps.web.domain.quantities import DASH

POINTS = 60
HEIGHT = 150
CLEAR = "rgba(0,0,0,0)"


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One point, as the table says it."""

    at: datetime
    value: str


@dataclass(slots=True)
class Multiple:
    """One small chart."""

    key: str
    title: str
    unit: str
    url: str
    points: list[tuple[datetime, float]] = field(default_factory=list)

    @property
    def latest(self) -> str:
        return _number(self.points[-1][1]) if self.points else DASH

    @property
    def rows(self) -> list[LoadPoint]:
        return [LoadPoint(at, _number(value)) for at, value in reversed(self.points)]

    @property
    def figure_json(self) -> str:
        return json.dumps(_figure(self))


def multiples(samples: Sequence[LoadSample], *, urls: dict[str, str]) -> list[Multiple]:
    """What waited and how fast it moved: levels as they were, counters as rates a second."""
    kept = samples[:: max(1, len(samples) // POINTS)]
    levels: list[tuple[str, str, str, Callable[[LoadSample], float]]] = [
        ("queued", "Runs waiting", "runs", lambda s: sum(s.queued.values())),
        ("deferred", "Runs deferred", "runs", lambda s: s.deferred),
        ("open", "Questions to people", "open", lambda s: s.open_approvals),
    ]
    rates: list[tuple[str, str, str, Callable[[LoadSample], float]]] = [
        ("runs", "Runs taken in", "a second", lambda s: s.runs),
        ("leases", "Steps proposed", "a second", lambda s: s.leases),
        ("calls", "Calls begun", "a second", lambda s: s.calls),
    ]
    found = [
        Multiple(key, title, unit, urls.get(key, ""), [(s.at, of(s)) for s in kept])
        for key, title, unit, of in levels
    ]
    found += [
        Multiple(key, title, unit, urls.get(key, ""), _rates(kept, of))
        for key, title, unit, of in rates
    ]
    return found


def _rates(
    samples: Sequence[LoadSample], of: Callable[[LoadSample], float]
) -> list[tuple[datetime, float]]:
    """A counter's growth a second; one that went back was reset and tells nothing."""
    found = []
    for before, after in pairwise(samples):
        grown, seconds = of(after) - of(before), (after.at - before.at).total_seconds()
        if grown >= 0 and seconds > 0:
            found.append((after.at, grown / seconds))
    return found


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _figure(one: Multiple) -> dict[str, Any]:
    spoken = [f"{at.astimezone(UTC):%H:%M:%S} UTC: {_number(v)} {one.unit}" for at, v in one.points]
    most = max((v for _, v in one.points), default=0)
    axis = {
        "gridcolor": "var(--line)",
        "zerolinecolor": "var(--line-strong)",
        "tickfont": {"color": "var(--muted)"},
        "fixedrange": True,
        "automargin": True,
    }
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") for at, _ in one.points],
                "y": [round(v, 3) for _, v in one.points],
                "line": {"color": "var(--series-1)", "width": 2},
                "marker": {"color": "var(--series-1)", "size": 4},
                "fill": "tozeroy",
                "fillcolor": "var(--select)",
                "customdata": [[one.url, words] for words in spoken],
                "hovertext": spoken,
                "hoverinfo": "text",
            }
        ],
        "layout": {
            "height": HEIGHT,
            "autosize": True,
            "margin": {"l": 8, "r": 8, "t": 8, "b": 24, "pad": 4},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "font": {"family": "var(--font)", "size": 12, "color": "var(--text)"},
            "hoverlabel": {
                "bgcolor": "var(--surface)",
                "bordercolor": "var(--line-strong)",
                "font": {"color": "var(--text)", "size": 12},
            },
            "hovermode": "closest",
            "dragmode": False,
            "showlegend": False,
            "xaxis": {**axis, "type": "date", "nticks": 4, "tickformat": "%H:%M"},
            "yaxis": {
                **axis,
                "rangemode": "tozero",
                "nticks": 4,
                "range": [0, max(1.0, most * 1.1)],
            },
        },
    }
