"""Plotly figures as plain dicts.

Colours are names of CSS variables (``var(--series-1)``); charts.js resolves them, again on each
change of theme. Plotly reads labels as a kind of HTML, so every word that comes from data goes
through ``plain``. Each mark carries ``customdata``: where it leads, and how it is said aloud.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Figure = dict[str, Any]
ROW_PX = 42
MOST_ROWS = 12
LABEL_LENGTH = 34
GRID = "var(--line)"
INK = "var(--text)"
MUTED = "var(--muted)"
SURFACE = "var(--surface)"
CLEAR = "rgba(0,0,0,0)"
DURATION_TICKS = {
    0.01: "10 ms",
    0.1: "0.1 s",
    1: "1 s",
    3: "3 s",
    10: "10 s",
    30: "30 s",
    60: "1 m",
    180: "3 m",
    600: "10 m",
    1800: "30 m",
    3600: "1 h",
    14400: "4 h",
    86400: "1 d",
    604800: "7 d",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to click: where it leads and how it is said aloud."""

    url: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Series:
    """A coloured series; its pattern tells it apart without colour."""

    name: str
    color: str
    pattern: str
    values: Sequence[float]
    marks: Sequence[Mark]


def plain(text: object, limit: int = LABEL_LENGTH) -> str:
    """Text that Plotly shows as it is: no tag, no entity, no invisible character, not too long."""
    shown = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text))
    if len(shown) > limit:
        shown = shown[: limit - 1] + "…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _marks(marks: Sequence[Mark]) -> dict[str, Any]:
    return {
        "customdata": [[m.url, m.spoken] for m in marks],
        "hovertext": [plain(m.spoken, 200) for m in marks],
        "hoverinfo": "text",
    }


def _layout(height: int, **more: Any) -> dict[str, Any]:
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 8, "r": 16, "t": 28, "b": 32, "pad": 4},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "var(--font)", "size": 12, "color": INK},
        "hoverlabel": {
            "bgcolor": SURFACE,
            "bordercolor": "var(--line-strong)",
            "font": {"color": INK, "size": 12},
            "align": "left",
        },
        "hovermode": "closest",
        "dragmode": False,
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "xanchor": "left",
        },
        "modebar": {"bgcolor": CLEAR, "color": MUTED, "activecolor": INK},
        **more,
    }


def _value_axis(**more: Any) -> dict[str, Any]:
    return {
        "gridcolor": GRID,
        "zerolinecolor": "var(--line-strong)",
        "linecolor": GRID,
        "tickfont": {"color": MUTED},
        "fixedrange": True,
        "automargin": True,
        **more,
    }


def _row_axis(labels: Sequence[str]) -> dict[str, Any]:
    # Positions are numbers: two rows with one label stay two rows.
    return {
        "tickmode": "array",
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": [len(labels) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "tickfont": {"color": INK},
        "ticks": "",
    }


def _pattern(shape: str | list[str]) -> dict[str, Any]:
    return {
        "shape": shape,
        "fillmode": "overlay",
        "fgcolor": SURFACE,
        "fgopacity": 0.75,
        "size": 6,
        "solidity": 0.22,
    }


def rows_height(n: int, *, legend: bool = False) -> int:
    return max(n, 2) * ROW_PX + 62 + 24 * legend


def axis_time(at: datetime) -> str:
    """A time as Plotly draws it: as given, so UTC is said on the axis."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class MomentLine:
    """Something that happened at a moment, drawn as a vertical line with a diamond to click."""

    at: datetime
    mark: Mark


def stacked_over_time(
    starts: Sequence[datetime],
    width: timedelta,
    series: Sequence[Series],
    *,
    incomplete: Sequence[bool],
    lines: Sequence[MomentLine] = (),
) -> Figure:
    """Bars a bucket, stacked; a bucket that is still filling is hatched."""
    middles = [axis_time(at + width / 2) for at in starts]
    data = [
        {
            "type": "bar",
            "name": plain(one.name),
            "x": middles,
            "y": list(one.values),
            "width": width / timedelta(milliseconds=1) * 0.86,
            "marker": {
                "color": one.color,
                "pattern": _pattern(["/" if part else one.pattern for part in incomplete]),
                "line": {"color": one.color, "width": 1},
            },
            **_marks(one.marks),
        }
        for one in series
    ]
    top = max((sum(s.values[i] for s in series) for i in range(len(starts))), default=0)
    data += _line_marks(lines, top)
    layout = _layout(
        320,
        barmode="stack",
        bargap=0,
        xaxis=_value_axis(
            type="date",
            showgrid=False,
            range=[axis_time(starts[0]), axis_time(starts[-1] + width)],
            title={"text": "UTC", "font": {"size": 11, "color": MUTED}, "standoff": 4},
        ),
        yaxis=_value_axis(rangemode="tozero", range=[0, max(top, 1) * 1.14], nticks=6),
        shapes=[
            {
                "type": "line",
                "x0": axis_time(line.at),
                "x1": axis_time(line.at),
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": {"color": INK, "width": 1, "dash": "dot"},
            }
            for line in lines
        ],
    )
    return {"data": data, "layout": layout}


def _line_marks(lines: Sequence[MomentLine], top: float) -> list[dict[str, Any]]:
    if not lines:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Published",
            "x": [axis_time(line.at) for line in lines],
            "y": [max(top, 1) * 1.07] * len(lines),
            "marker": {"symbol": "diamond-open", "size": 11, "color": INK, "line": {"width": 2}},
            **_marks([line.mark for line in lines]),
        }
    ]


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One group's share with its interval; ``value`` is None when there are too few."""

    label: str
    note: str
    value: float | None
    low: float
    high: float
    target: float | None
    mark: Mark


def shares(rows: Sequence[ShareRow]) -> Figure:
    """A dot and its interval a row, with a tick where the target is."""
    shown = [(i, r) for i, r in enumerate(rows) if r.value is not None]
    few = [(i, r) for i, r in enumerate(rows) if r.value is None]
    aims = [(i, r.target) for i, r in enumerate(rows) if r.target is not None]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Share and 95 % interval",
            "x": [r.value for _, r in shown],
            "y": [i for i, _ in shown],
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [r.high - (r.value or 0) for _, r in shown],
                "arrayminus": [(r.value or 0) - r.low for _, r in shown],
                "color": "var(--series-1)",
                "thickness": 3,
                "width": 0,
            },
            "marker": {
                "size": 13,
                "color": ["var(--series-1)" if _is_met(r) else SURFACE for _, r in shown],
                "line": {"color": "var(--series-1)", "width": 3},
            },
            **_marks([r.mark for _, r in shown]),
        },
        _aims("Target", aims),
    ]
    if few:
        data.append(
            {
                "type": "scatter",
                "mode": "text",
                "name": "Too few",
                "showlegend": False,
                "x": [0.01 for _ in few],
                "y": [i for i, _ in few],
                "text": ["too few runs" for _ in few],
                "textposition": "middle right",
                "textfont": {"color": MUTED},
                **_marks([r.mark for _, r in few]),
            }
        )
    axis = _value_axis(range=[-0.01, 1.02], tickformat=".0%", dtick=0.25, zeroline=False)
    return {
        "data": data,
        "layout": _layout(
            rows_height(len(rows), legend=True),
            xaxis=axis,
            yaxis=_row_axis([_two_lines(r.label, r.note) for r in rows]),
        ),
    }


def _aims(name: str, aims: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """A tick a row, where its promise stands."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [aim for _, aim in aims],
        "y": [i for i, _ in aims],
        "marker": {
            "symbol": "line-ns-open",
            "size": 24,
            "color": "var(--series-2)",
            "line": {"color": "var(--series-2)", "width": 3},
        },
        "hoverinfo": "skip",
    }


def _is_met(row: ShareRow) -> bool:
    return row.target is None or (row.value or 0) >= row.target


def _two_lines(label: str, note: str) -> str:
    return f"{plain(label)}<br>{plain(note)}"  # the one tag that is ours


@dataclass(frozen=True, slots=True)
class TimeRow:
    label: str
    note: str
    p50: float
    p95: float
    budget: float | None
    mark: Mark


def times(rows: Sequence[TimeRow]) -> Figure:
    """Median and p95 a row on a logarithmic axis, with a tick where the budget ends."""
    aims = [(i, r.budget) for i, r in enumerate(rows) if r.budget]
    places = list(range(len(rows)))
    between: dict[str, list[Any]] = {"x": [], "y": []}
    for i, row in enumerate(rows):
        between["x"] += [max(row.p50, 0.001), max(row.p95, 0.001), None]
        between["y"] += [i, i, None]
    marks = _marks([r.mark for r in rows])
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "showlegend": False,
            "hoverinfo": "skip",
            "line": {"color": "var(--line-strong)", "width": 2},
            **between,
        },
        _dots("Median", [r.p50 for r in rows], places, "circle", "var(--series-1)", marks),
        _dots("p95", [r.p95 for r in rows], places, "diamond", INK, marks),
        _aims("Budget", aims),
    ]
    axis = _value_axis(
        type="log",
        tickmode="array",
        tickvals=list(DURATION_TICKS),
        ticktext=list(DURATION_TICKS.values()),
        tickangle=0,
        zeroline=False,
    )
    labels = [_two_lines(r.label, r.note) for r in rows]
    layout = _layout(rows_height(len(rows), legend=True), xaxis=axis, yaxis=_row_axis(labels))
    return {"data": data, "layout": layout}


def _dots(
    name: str,
    values: Sequence[float],
    places: Sequence[int],
    symbol: str,
    color: str,
    marks: dict[str, Any],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [max(v, 0.001) for v in values],
        "y": list(places),
        "marker": {"symbol": symbol, "size": 12, "color": color},
        **marks,
    }


def bars(labels: Sequence[tuple[str, str]], series: Sequence[Series]) -> Figure:
    """Horizontal bars from zero, stacked when there is more than one series, with the total
    written at the end."""
    totals = [sum(s.values[i] for s in series) for i in range(len(labels))]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": plain(one.name),
            "x": list(one.values),
            "y": list(range(len(labels))),
            "width": 0.5,
            "marker": {
                "color": one.color,
                "pattern": _pattern(one.pattern),
                "line": {"color": one.color, "width": 1},
            },
            **_marks(one.marks),
        }
        for one in series
    ]
    most = max(totals, default=0) or 1
    several = len(series) > 1
    layout = _layout(
        rows_height(len(labels), legend=several),
        barmode="stack",
        showlegend=several,
        xaxis=_value_axis(range=[0, most * 1.18], rangemode="tozero", nticks=5),
        yaxis=_row_axis([_two_lines(*label) if label[1] else plain(label[0]) for label in labels]),
        annotations=[
            {
                "x": total,
                "y": i,
                "text": f"{total:,.0f}",
                "showarrow": False,
                "xanchor": "left",
                "xshift": 6,
                "font": {"color": INK},
            }
            for i, total in enumerate(totals)
        ],
    )
    return {"data": data, "layout": layout}


def sparkline(values: Sequence[float | None], width: int = 120, height: int = 28) -> list[str]:
    """SVG point lists of a line that breaks where a value is missing."""
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return []
    top, low = max(known), min(min(known), 0)
    scale = (top - low) or 1
    step = width / max(len(values) - 1, 1)
    pieces: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            pieces.append([])
            continue
        y = height - 2 - (value - low) / scale * (height - 4)
        pieces[-1].append(f"{i * step:.1f},{y:.1f}")
    return [" ".join(p if len(p) > 1 else p * 2) for p in pieces if p]
