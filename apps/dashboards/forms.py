"""What the outcome page is asked for: all of it stands in the address, so it can be shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from apps.kernel.moments import iso as iso
from apps.kernel.moments import moment
from apps.outcomes.domain.tally import DIMENSIONS
from apps.outcomes.selectors.outcomes import MOST_BUCKETS as MOST_BUCKETS
from apps.outcomes.selectors.outcomes import WIDTHS as WIDTHS
from apps.outcomes.selectors.outcomes import (
    RunsInScope,
    bucket_width,
    floor_to,
    latest,
    next_second,
)
from apps.runs.domain.origin import ALL, WORDS, Origin

RANGES: dict[str, tuple[str, timedelta]] = {
    "15m": ("15 min", timedelta(minutes=15)),
    "1h": ("1 h", timedelta(hours=1)),
    "6h": ("6 h", timedelta(hours=6)),
    "24h": ("24 h", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
}
DEFAULT = "24h"
LONGEST = timedelta(days=366)
REFRESH = {0: "Off", 30: "30 s", 300: "5 min"}
BY = {"job": "Job", "contract": "Contract version", "agent": "Agent"}
ORIGINS = (*Origin, ALL)
FILTERS = ("domain", "job", "contract", "agent", "source")
LONGEST_VALUE = 160


@dataclass(frozen=True, slots=True)
class Query:
    """One view of the outcomes. ``range`` is empty when the times are absolute."""

    now: datetime
    since: datetime
    until: datetime
    range: str = DEFAULT
    compare: bool = False
    refresh: int = 0
    by: str = "job"
    domain: str = ""
    job: str = ""
    contract: int | None = None
    agent: str = ""
    source: str = ""
    origin: str = ""  # as asked for: real, practice, replay, all; empty: what is usual
    shown: str = ""  # which of them is shown
    problem: str = ""

    @property
    def width(self) -> timedelta:
        return bucket_width(self.until - self.since)

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that are set, in the order in which they are shown."""
        found = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in found.items() if value not in ("", None)}

    @property
    def cohort(self) -> dict[str, Any]:
        """What picks out the runs that are counted: the filters, and the origin that is shown."""
        one_origin = {"origin": self.shown} if self.shown and self.shown != ALL else {}
        return {**self.filters, **one_origin}

    @property
    def shown_words(self) -> str:
        """Which runs the numbers are of."""
        return WORDS.get(self.shown, WORDS[ALL])

    def showing(self, usual: str) -> Query:
        """This view of the origin that was asked for, else of the usual one."""
        return replace(self, shown=self.origin or usual)

    def scope(self) -> RunsInScope:
        return RunsInScope(self.since, self.until, **self.cohort)

    def previous(self) -> RunsInScope:
        """The stretch of the same length just before."""
        return RunsInScope(self.since - (self.until - self.since), self.since, **self.cohort)

    def params(self) -> dict[str, Any]:
        """What the address has to say; defaults are left out."""
        times = {"range": self.range} if self.range else {}
        if not self.range:
            times = {"from": iso(self.since), "to": iso(self.until)}
        found = {
            **times,
            "compare": int(self.compare),
            "refresh": self.refresh,
            "by": self.by,
            "origin": self.origin,
            **self.filters,
        }
        plain = {"range": DEFAULT, "compare": 0, "refresh": 0, "by": "job", "origin": ""}
        return {k: v for k, v in found.items() if plain.get(k) != v}

    def url(self, **changes: Any) -> str:
        """This view with some of its parameters changed; None takes one out."""
        return address(reverse("dashboards:outcomes"), {**self.params(), **changes})

    def with_range(self, chosen: str) -> str:
        """This view over another relative range."""
        given = None if chosen == DEFAULT else chosen
        return self.url(**{"range": given, "from": None, "to": None})

    def around(self, at: datetime) -> str:
        """This view over the hours in which ``at`` lies."""
        start = floor_to(at, timedelta(hours=1))
        times = {"from": iso(start - timedelta(hours=5)), "to": iso(start + timedelta(hours=1))}
        return self.url(range=None, **times)

    def csv_url(self, chart: str) -> str:
        return address(reverse("dashboards:csv", args=[chart]), self.params())


def address(path: str, params: Mapping[str, Any]) -> str:
    """A path with a query string; empty values are left out, lists repeat their name."""
    given = {k: v for k, v in params.items() if v not in (None, "", [])}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def read_query(params: Mapping[str, str], now: datetime) -> Query:
    """Understand an address. What can't be understood falls back to the default and is told."""
    now = next_second(now)
    contract = params.get("contract", "")
    refresh = params.get("refresh", "")
    texts = {n: params.get(n, "")[:LONGEST_VALUE].replace("\x00", "") for n in FILTERS}
    since, until, chosen, problem = _times(params, now)
    return Query(
        now=now,
        since=since,
        until=until,
        range=chosen,
        problem=problem,
        compare=params.get("compare") == "1",
        refresh=int(refresh) if refresh in {str(s) for s in REFRESH} else 0,
        origin=params["origin"] if params.get("origin") in ORIGINS else "",
        by=params["by"] if params.get("by") in DIMENSIONS else "job",
        **{
            **texts,
            "contract": int(contract) if contract.isdecimal() and len(contract) < 9 else None,
        },
    )


def _times(params: Mapping[str, str], now: datetime) -> tuple[datetime, datetime, str, str]:
    if params.get("from") or params.get("to"):
        since, until = moment(params.get("from", "")), moment(params.get("to", "")) or now
        if since and since < until and until - since <= LONGEST:
            return since, until, "", ""
        problem = "These times make no range of at most a year; showing the last 24 h instead."
        return *latest(RANGES[DEFAULT][1], now), DEFAULT, problem
    chosen = params["range"] if params.get("range") in RANGES else DEFAULT
    return *latest(RANGES[chosen][1], now), chosen, ""
