"""Geometry of the two pictures: a run's timeline, and the histogram above the list of runs.

Positions are per cent of a width, so that pages draw them with plain HTML and CSS.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.ops.selectors.detail import Detail, StepView
from apps.ops.selectors.runs import Bucket
from apps.runs.domain.results import AttemptOutcome
from apps.web.domain.quantities import duration_words
from apps.web.domain.words import state_look

# --- timeline -------------------------------------------------------------------------------------

IDLE_SHARE = 0.03  # no idle stretch takes more of a shortened axis than this share of the work
LEAST_WORK = timedelta(milliseconds=200)
PAGE_LANES = 200
LOOKS = {
    AttemptOutcome.OK: "succeeded",
    AttemptOutcome.TOOL_ERROR: "refused",
    AttemptOutcome.RETRYABLE: "failed",
    AttemptOutcome.TIMEOUT: "failed",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.UNKNOWN: "unknown",
    AttemptOutcome.LEASE_LOST: "lost",
    AttemptOutcome.RELEASED: "lost",
    "": "running",
}

LEGEND = (
    ("queued", "queued", "queued"),
    ("gate", "permit", "gate asked"),
    ("attempt", "succeeded", "attempt, answered"),
    ("attempt", "failed", "attempt, failed"),
    ("backoff", "backoff", "pause before a retry"),
    ("waiting", "waiting", "waiting for a person"),
    ("unknown", "unknown", "not known whether it happened"),
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One bar: what happened between two moments, and how it is said aloud."""

    kind: str  # attempt | gate | waiting | backoff | queued | unknown
    look: str
    start: datetime
    end: datetime
    name: str
    left: float = 0.0
    width: float = 0.0


@dataclass(slots=True)
class Lane:
    """A step's row in the timeline."""

    view: StepView
    bars: list[Stretch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AxisTick:
    """A tick of the axis; ``cut`` where idle time was shortened."""

    left: float
    label: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: list[Lane]
    marks: list[AxisTick]
    first: int
    last: int
    total: int


def timeline(detail: Detail, *, true_scale: bool = False, offset: int = 0) -> Timeline:
    """Lanes of bars for up to ``PAGE_LANES`` steps from ``offset``. Unless ``true_scale``, idle
    stretches are shortened, for a wait of two hours beside calls of 40 ms shows nothing else."""
    views = detail.steps[offset : offset + PAGE_LANES]
    lanes = [Lane(view, _stretches(view, detail.now)) for view in views]
    start, end = _span(detail, lanes, whole=len(detail.steps) <= PAGE_LANES)
    axis = _Axis(start, end, [b for lane in lanes for b in lane.bars], true_scale=true_scale)
    for lane in lanes:
        lane.bars = [axis.place(bar) for bar in lane.bars]
    last = offset + len(views)
    return Timeline(lanes, axis.marks(), offset + 1, last, len(detail.steps))


def _span(detail: Detail, lanes: Sequence[Lane], *, whole: bool) -> tuple[datetime, datetime]:
    bars = [b for lane in lanes for b in lane.bars]
    starts = [b.start for b in bars] + ([detail.run.created_at] if whole or not bars else [])
    ends = [b.end for b in bars] + ([detail.ended_at] if whole or not bars else [])
    return min(starts), max(max(ends), min(starts) + timedelta(milliseconds=1))


def _stretches(view: StepView, now: datetime) -> list[Stretch]:
    found = [*_waits(view, now), *_attempts(view, now)]
    step = view.step
    who = f"Step {step.seq} {step.tool_name}"
    if step.gated_at and step.started_at:
        name = f"{who}, gate said {step.gate or 'nothing yet'}"
        first = min([step.gated_at, *(b.start for b in found if b.kind in {"waiting", "attempt"})])
        begin = min(step.started_at, first)
        found.append(Stretch("gate", step.gate or "permit", begin, max(first, begin), name))
    first_move = min((b.start for b in found), default=step.finished_at or now)
    if first_move > step.created_at:
        told = f"{who}, queued {_long(step.created_at, first_move)}"
        found.append(Stretch("queued", "queued", step.created_at, first_move, told))
    return sorted(found, key=lambda b: b.start)


def _waits(view: StepView, now: datetime) -> Iterable[Stretch]:
    who = f"Step {view.step.seq} {view.step.tool_name}"
    for approval in view.approvals:
        end = approval.decided_at or (now if approval.state == "pending" else None)
        end = end or view.step.finished_at or approval.expires_at
        length = _long(approval.created_at, end)
        by = f" by {approval.decided_by.display_name}" if approval.decided_by else ""
        told = f"{who}, waiting for a person {length}, {state_look(approval.state).word}{by}"
        yield Stretch(
            "waiting", "waiting", approval.created_at, max(end, approval.created_at), told
        )


def _attempts(view: StepView, now: datetime) -> Iterable[Stretch]:
    step, total = view.step, len(view.attempts)
    who = f"Step {step.seq} {step.tool_name}"
    before: datetime | None = None
    for attempt in view.attempts:
        if before and attempt.started_at > before:
            pause = _long(before, attempt.started_at)
            told = f"{who}, pause of {pause} before attempt {attempt.number}"
            yield Stretch("backoff", "backoff", before, attempt.started_at, told)
        end = attempt.ended_at or (step.finished_at or now)
        word = state_look(attempt.outcome).word.lower() if attempt.outcome else "under way"
        parts = [f"{who}, attempt {attempt.number} of {total}", word]
        parts.append(_long(attempt.started_at, end))
        if attempt.http_status:
            parts.append(f"HTTP {attempt.http_status}")
        elif attempt.error_class:
            parts.append(attempt.error_class.replace("_", " "))
        look = LOOKS.get(attempt.outcome, "running")
        yield Stretch("attempt", look, attempt.started_at, end, ", ".join(parts))
        before = end
    if step.state == "confirmation_unknown" and before:
        told = f"{who}, not known whether it happened, for {_long(before, now)}"
        yield Stretch("unknown", "unknown", before, now, told)


def _long(start: datetime, end: datetime) -> str:
    return duration_words(max(0.0, (end - start).total_seconds()))


class _Axis:
    """Maps moments to per cent. Each stretch between two neighbouring moments has a length of its
    own: the true one where an attempt or a gate was at work, a capped one where nothing was."""

    def __init__(
        self, start: datetime, end: datetime, bars: Sequence[Stretch], *, true_scale: bool
    ) -> None:
        self.start = start
        work = [b for b in bars if b.kind in {"attempt", "gate"}]
        moments = {start, end, *(b.start for b in bars), *(b.end for b in bars)}
        self.moments = sorted(m for m in moments if start <= m <= end)
        busy = max(LEAST_WORK, sum(((b.end - b.start) for b in work), timedelta()))
        cap = end - start if true_scale else busy * IDLE_SHARE * 4
        self.at = [0.0]
        self.cuts: list[int] = []
        active = _Active(work)
        for index, (a, b) in enumerate(zip(self.moments, self.moments[1:], strict=False)):
            length = b - a
            if length > cap and not active.covers(a, b):
                length = cap
                self.cuts.append(index)
            self.at.append(self.at[-1] + length / timedelta(seconds=1))
        self.scale = 100 / self.at[-1] if self.at[-1] else 0

    def of(self, moment: datetime) -> float:
        index = min(max(bisect_right(self.moments, moment) - 1, 0), len(self.moments) - 1)
        place = self.at[index]
        if index + 1 < len(self.moments) and moment > self.moments[index]:
            share = (moment - self.moments[index]) / (self.moments[index + 1] - self.moments[index])
            place += share * (self.at[index + 1] - self.at[index])
        return place * self.scale

    def place(self, bar: Stretch) -> Stretch:
        left = self.of(bar.start)
        width = max(0.0, self.of(bar.end) - left)
        return Stretch(
            bar.kind, bar.look, bar.start, bar.end, bar.name, round(left, 3), round(width, 3)
        )

    def marks(self) -> list[AxisTick]:
        """Up to five labelled moments at least 15 % apart, and a cut for each shortened stretch."""
        found = [AxisTick(0.0, "0")]
        for moment, place in zip(self.moments, self.at, strict=True):
            left = place * self.scale
            if left - found[-1].left >= 15 and left <= 92:
                found.append(AxisTick(round(left, 2), f"+{_long(self.start, moment)}"))
        cuts = [
            AxisTick(round((self.at[i] + self.at[i + 1]) / 2 * self.scale, 2), "", cut=True)
            for i in self.cuts
        ]
        return found + cuts


class _Active:
    """Whether anything was at work in a stretch of time."""

    def __init__(self, bars: Sequence[Stretch]) -> None:
        self.merged: list[tuple[datetime, datetime]] = []
        for bar in sorted(bars, key=lambda b: b.start):
            if self.merged and bar.start <= self.merged[-1][1]:
                begin, end = self.merged[-1]
                self.merged[-1] = (begin, max(end, bar.end))
            else:
                self.merged.append((bar.start, bar.end))
        self.starts = [begin for begin, _ in self.merged]

    def covers(self, a: datetime, b: datetime) -> bool:
        index = bisect_right(self.starts, a) - 1
        return index >= 0 and self.merged[index][1] >= b


# --- histogram ------------------------------------------------------------------------------------

ORDER = (
    "failed",
    "confirmation_unknown",
    "waiting_approval",
    "running",
    "queued",
    "accepted",
    "compensating",
    "compensated",
    "cancelled",
    "shed",
    "handed_over",
    "succeeded",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One bar of the histogram: parts from the bottom up, as (state, per cent of the height)."""

    since: datetime
    until: datetime
    total: int
    parts: list[tuple[str, float]]
    words: str
    is_partial: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    columns: list[Column]
    states: list[str]
    highest: int
    width: str


def histogram(buckets: Sequence[Bucket], *, now: datetime) -> Histogram:
    """Stacked bars; those that need a person stand at the bottom, where they can be compared."""
    highest = max((b.total for b in buckets), default=0)
    present = [s for s in ORDER if any(s in b.counts for b in buckets)]
    columns = [
        Column(
            b.since,
            b.until,
            b.total,
            [(s, round(100 * b.counts[s] / highest, 2)) for s in present if b.counts.get(s)],
            ", ".join(
                f"{b.counts[s]} {state_look(s).word.lower()}" for s in present if b.counts.get(s)
            ),
            b.until > now,
        )
        for b in buckets
    ]
    width = duration_words((buckets[0].until - buckets[0].since).total_seconds()) if buckets else ""
    return Histogram(columns, present, highest, width)
