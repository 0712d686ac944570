"""A tool's circuit breakers, host by host, for its page and for runs that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.audit import selectors as log
from apps.calls.domain.breaker import LEAST_CALLS, PROBES, WINDOW
from apps.runs.models import Breaker

HISTORY = 20
WORDS = {
    "breaker.opened": "open",
    "breaker.half_open": "half_open",
    "breaker.closed": "closed",
}


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker of one host. Counts are of the current window of thirty seconds."""

    host: str
    state: str = "closed"
    calls: int = 0
    failures: int = 0
    timeouts_in_a_row: int = 0
    probes_passed: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None
    reason: str = ""
    manual: bool = False
    actor: str = ""

    @property
    def probes_left(self) -> int:
        """How many probes still have to succeed before it closes."""
        return PROBES - self.probes_passed

    @property
    def is_due(self) -> bool:
        """Open, but its time is over: the next call probes it."""
        over = self.open_until is not None and self.open_until <= timezone.now()
        return self.state == "open" and not self.manual and over

    @property
    def window_s(self) -> int:
        return int(WINDOW.total_seconds())

    @property
    def least_calls(self) -> int:
        return LEAST_CALLS


@dataclass(frozen=True, slots=True)
class BreakerTransition:
    """One line of a breaker's history."""

    at: datetime
    state: str
    host: str
    reason: str
    actor: str
    by_person: bool


def of_tool(tool: str, host: str) -> list[BreakerView]:
    """The breakers of "<domain>/<tool>", with that of its present host even if it never failed."""
    fields = BreakerView.__slots__
    rows = Breaker.objects.filter(tool_name=tool).order_by("host")
    found = [_in_window(row) for row in rows]
    views = [BreakerView(**{f: getattr(row, f) for f in fields}) for row in found]
    if not views or (host and host not in {v.host for v in views}):
        views.insert(0, BreakerView(host))
    return views


def _in_window(row: Breaker) -> Breaker:
    """A closed breaker's counts mean nothing once their window is over."""
    if row.state == "closed" and timezone.now() - row.window_started_at > WINDOW:
        row.calls = row.failures = 0
    return row


def history(tool: str) -> Sequence[BreakerTransition]:
    """How the tool's breakers moved, from the audit log, the latest first."""
    events = log.events_of("breaker", tool, limit=HISTORY)
    return [_change(event) for event in events if event.kind in WORDS]


def _change(event: Any) -> BreakerTransition:
    said = event.payload
    return BreakerTransition(
        event.at,
        WORDS[event.kind],
        str(said.get("host", "")),
        str(said.get("reason", "")),
        event.actor,
        bool(said.get("manual")),
    )
