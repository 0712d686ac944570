"""Caps on work at once and on work a minute: per tool, job, agent and tenant, in all workers.

A rate is a token bucket kept as one moment (the generic cell rate algorithm, ITU-T I.371): the
bucket holds ``burst`` tokens and gains ``per_minute`` a minute; the moment is when it will be full
of debt no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

LOOK_AGAIN_S = 0.5  # after one place could have become free
BUSY_S = 0.05  # after another worker has most likely committed
LONGEST_WAIT_S = 15.0  # a place may become free sooner than anybody can foretell
BURST_S = 10.0  # a rate lets so many seconds' worth through at once


class Who(NamedTuple):
    """What a step counts towards; an empty word counts towards nothing."""

    tool: str  # "<domain>/<tool>"
    job: str
    agent: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class CapLimits:
    """``max_in_flight`` steps at once and ``per_minute`` steps begun a minute; None: no bound."""

    scope: str  # a field of Who
    key: str
    max_in_flight: int | None = None
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bound on calls a minute, under the name that its bucket is kept by."""

    key: str
    per_minute: int
    words: str  # "of tool cancel_order in job cancel-order"

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=60.0 / self.per_minute)

    @property
    def burst(self) -> int:
        """Tokens that the bucket holds: ten seconds' worth, and at least one."""
        return max(1, int(self.per_minute * BURST_S / 60.0))


@dataclass(frozen=True, slots=True)
class CapReached:
    """Why a step can't begin now, as the end of "waits for", and when to look again."""

    waits_for: str
    retry_in_s: float


def charge(
    due_at: datetime | None, *, now: datetime, interval: timedelta, burst: int
) -> tuple[datetime, float]:
    """Take one token. Returns the bucket's new moment and the seconds to wait: 0 when the token
    was there, and then the moment has moved; otherwise it is the old one."""
    owed = max(due_at or now, now)
    wait = owed - now - interval * (burst - 1)
    if wait > timedelta(0):
        return owed, wait.total_seconds()
    return owed + interval, 0.0


@dataclass(slots=True)
class Rooms:
    """What room there is, step by step: each ``take`` that succeeds uses some of it up. ``running``
    counts steps at work by (scope, key), and is ``None`` while another worker counts; ``buckets``
    are the moments of rates by their names, without those that another worker is charging: they
    are ``busy``."""

    caps: Mapping[tuple[str, str], CapLimits]
    now: datetime
    running: dict[tuple[str, str], int] | None = field(default_factory=dict)
    buckets: dict[str, datetime] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    charged: set[str] = field(default_factory=set)
    _blocked: dict[str, int] = field(default_factory=dict)

    def take(
        self, who: Who, own: RateLimit | None = None, *, first: bool = False
    ) -> CapReached | None:
        """Room for one more step of ``who``, or why there is none. Nothing is used up unless all
        of its bounds have room. ``own``: the rate that its contract allows the tool. ``first``: a
        undoing, or what a person has approved, which only the bounds of its tool hold back;
        it counts towards the others."""
        caps = [c for pair in zip(who._fields, who, strict=True) if (c := self.caps.get(pair))]
        paces = ([own] if own else []) + [p for c in caps if (p := pace_of(c))]
        holding = [c for c in caps if c.scope == "tool"] if first else caps
        bounds = ([own] if own else []) + [p for c in holding if (p := pace_of(c))]
        block = self._full(holding) or self._fast(bounds)
        if block:
            return block
        if (running := self.running) is not None:
            for cap in caps:
                running[cap.scope, cap.key] = running.get((cap.scope, cap.key), 0) + 1
        for pace in paces:
            if pace.key not in self.busy:
                self.buckets[pace.key], _ = self._charge(pace)
                self.charged.add(pace.key)
        return None

    def _full(self, caps: Iterable[CapLimits]) -> CapReached | None:
        for cap in caps:
            if cap.max_in_flight is None:
                continue
            words = f"cap of {cap.max_in_flight} at once for {cap.scope} {cap.key}"
            if self.running is None:
                return CapReached(words, BUSY_S)
            if self.running.get((cap.scope, cap.key), 0) >= cap.max_in_flight:
                turn = self._turn(words) // cap.max_in_flight
                return CapReached(words, min(LONGEST_WAIT_S, LOOK_AGAIN_S * (1 + turn)))
        return None

    def _fast(self, paces: Iterable[RateLimit]) -> CapReached | None:
        for pace in paces:
            words = f"{pace.per_minute} calls a minute {pace.words}"
            if pace.key in self.busy:
                return CapReached(words, BUSY_S)
            _, wait_s = self._charge(pace)
            if wait_s:
                later = self._turn(words) * pace.interval.total_seconds()
                return CapReached(words, min(wait_s + later, max(wait_s, 60.0)))
        return None

    def _charge(self, pace: RateLimit) -> tuple[datetime, float]:
        return charge(
            self.buckets.get(pace.key), now=self.now, interval=pace.interval, burst=pace.burst
        )

    def _turn(self, words: str) -> int:
        """How many have been turned away by this bound before, so that they don't all come back
        at the same moment."""
        before = self._blocked.get(words, 0)
        self._blocked[words] = before + 1
        return before


def pace_of(cap: CapLimits) -> RateLimit | None:
    """A cap's rate, if it has one."""
    if cap.per_minute is None:
        return None
    return RateLimit(f"cap:{cap.scope}:{cap.key}", cap.per_minute, f"for {cap.scope} {cap.key}")


def own_pace(job: str, tool: str, per_minute: int | None) -> RateLimit | None:
    """The rate that a contract allows a tool, in all runs of the job."""
    if per_minute is None:
        return None
    return RateLimit(f"job:{job}:{tool}", per_minute, f"of {tool} in job {job}")
