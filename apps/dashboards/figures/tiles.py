"""The row of tiles: each KPI with its change, target, sparkline and definition."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from apps.dashboards.figures import plot
from apps.dashboards.figures.panels import counted_url, runs_url
from apps.dashboards.figures.reading import ChartReading
from apps.outcomes.domain.counting import FINISHED, TIMED
from apps.outcomes.kpis import KPIS, change

log = logging.getLogger(__name__)
TIMED_RUNS = {"state": [str(s) for s in TIMED], "counts_as": [str(k) for k in FINISHED]}
STANDING = ("waiting", "unknown")  # as of now, whatever the range


@dataclass(frozen=True, slots=True)
class Tile:
    """A KPI as a tile."""

    key: str
    title: str
    words: str
    note: str
    how: list[str]
    target: str = ""
    met: bool | None = None
    change: tuple[str, str, bool | None] | None = None
    spark: list[str] = field(default_factory=list)
    href: str = ""
    failed: bool = False


def tiles(reading: ChartReading) -> list[Tile]:
    """All KPIs; one that fails says so and the others stand."""
    return [_tile(key, reading) for key in KPIS]


def _tile(key: str, reading: ChartReading) -> Tile:
    kpi = KPIS[key]
    try:
        now = kpi.compute(reading.numbers)
        moved = None
        if reading.query.compare and key not in STANDING:
            moved = change(kpi, now, kpi.compute(reading.before))
        drill = TIMED_RUNS if key == "time" else kpi.drill
        url = runs_url(reading, **drill)
        if key in STANDING:
            url = counted_url({**reading.query.cohort, **drill})
    except Exception:
        log.exception("The KPI %s failed", key)
        return Tile(key, kpi.title, "failed", "Other numbers are not affected.", [], failed=True)
    return Tile(
        key,
        kpi.title,
        now.words,
        now.note,
        kpi.how,
        now.target,
        now.met,
        moved,
        plot.sparkline(now.spark),
        url,
    )
