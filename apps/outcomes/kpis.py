"""Each number that people steer by, defined once. What the page shows under "how it's measured"
(its formula, what counts, and where the method comes from) stands in ``domain.help``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.outcomes.domain import help
from apps.outcomes.domain.counting import TOO_FEW as TOO_FEW
from apps.outcomes.domain.counting import CountsAs, percent
from apps.outcomes.domain.counting import Share as Share
from apps.outcomes.domain.counting import wilson as wilson
from apps.outcomes.domain.tally import Tally, Terms, target_of
from apps.outcomes.domain.tally import tally as tally
from apps.outcomes.selectors.outcomes import DurationSeries
from apps.web.domain.quantities import DASH, MICRO, cost_words, measured_words


@dataclass(frozen=True, slots=True)
class EditedField:
    """How many held calls of a tool people changed one argument of, of how many were held."""

    tool: str
    name: str
    edited: int
    held: int


@dataclass(frozen=True, slots=True)
class Human:
    """What people gave to the scope: answers, visible seconds, waiting."""

    asked: int = 0
    approved: int = 0
    rejected: int = 0
    expired: int = 0
    void: int = 0
    pending: int = 0
    wait_p50_s: float | None = None
    wait_p95_s: float | None = None
    dwell_p50_s: float | None = None
    dwell_total_s: float = 0.0
    dwell_n: int = 0
    taken_back: int = 0  # approvals, before anything was carried out
    undone: int = 0  # approved steps that were undone after
    held: int = 0  # calls, however often people were asked about each
    edited: int = 0  # of them, by people before they were decided
    edited_fields: Sequence[EditedField] = ()  # the most often changed first

    @property
    def reversed(self) -> int:
        """Approvals that somebody thought better of, in time or after."""
        return self.taken_back + self.undone


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything tiles are made of, for one scope."""

    all: Tally
    buckets: Sequence[Tally]
    times: DurationSeries
    bucket_times: Sequence[float | None]
    terms: Mapping[int, Terms]
    human: Human
    waiting_now: int = 0
    waiting_s: float | None = None
    unknown_now: int = 0
    unknown_s: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A KPI's value for one scope. ``good`` says which way is better."""

    value: float | None = None
    words: str = DASH
    note: str = ""
    target: str = ""
    met: bool | None = None
    spark: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Kpi:
    """One definition: how it is called, which way is better, how it is computed and why so."""

    key: str
    title: str
    unit: str  # share | seconds | usd | minutes | count
    better: str  # up | down; empty: neither
    compute: Callable[[Numbers], Measure]
    drill: Mapping[str, Any]

    @property
    def how(self) -> list[str]:
        """The definition for people, a paragraph an item."""
        return list(help.KPIS[self.key])


KPIS: dict[str, Kpi] = {}
Compute = Callable[[Numbers], Measure]


def kpi(
    key: str, title: str, *, unit: str, better: str, drill: Mapping[str, Any] | None = None
) -> Callable[[Compute], Compute]:
    def register(compute: Compute) -> Compute:
        KPIS[key] = Kpi(key, title, unit, better, compute, drill or {})
        return compute

    return register


@kpi("success", "Success share", unit="share", better="up", drill={"counts_as": CountsAs.SUCCESS})
def success_share(numbers: Numbers) -> Measure:
    """The success share, with its interval and the target of the contracts."""
    share = numbers.all.success
    target = target_of(numbers.all, numbers.terms)
    shown = not share.is_too_few and share.value is not None
    spark = [t.success.value if t.finished else None for t in numbers.buckets]
    return Measure(
        share.value if shown else None,
        share.words,
        f"{share.interval_words} · n {share.n}" if shown else f"n {share.n}",
        "" if target is None else percent(target),
        share.value >= target if shown and target is not None and share.value is not None else None,
        spark,
    )


@kpi(
    "handed_over",
    "Handed over",
    unit="count",
    better="",
    drill={"counts_as": CountsAs.HANDED_OVER},
)
def handed_over(numbers: Numbers) -> Measure:
    """How many runs were handed over, and their share of those that ended."""
    n = numbers.all.handed_over
    ended = n + numbers.all.finished
    note = f"{percent(n / ended)} of {ended:,} ended runs" if ended else ""
    return Measure(n, f"{n:,}", note, spark=[t.handed_over for t in numbers.buckets])


@kpi("time", "Time to outcome, p95", unit="seconds", better="down", drill={})
def time_to_outcome(numbers: Numbers) -> Measure:
    """The 95th percentile of the time to an outcome, beside what the contracts promise."""
    overall = numbers.times.overall
    promised = min((t.p95_s for t in numbers.terms.values()), default=None)
    return Measure(
        overall.p95,
        measured_words(overall.p95),
        f"median {measured_words(overall.p50)} · n {overall.n}",
        measured_words(promised) if promised else "",
        overall.p95 <= promised if overall.p95 is not None and promised else None,
        numbers.bucket_times,
    )


@kpi("cost", "Cost per outcome", unit="usd", better="down", drill={"counts_as": CountsAs.SUCCESS})
def cost_per_outcome(numbers: Numbers) -> Measure:
    """What the models cost for each run that succeeded."""
    total = numbers.all
    if not total.priced or not total.succeeded:
        known = f"price known for {total.priced} of {total.runs} runs"
        return Measure(note=known if total.runs else "")
    value = total.cost_microusd / MICRO / total.succeeded
    spark = [
        t.cost_microusd / MICRO / t.succeeded if t.priced and t.succeeded else None
        for t in numbers.buckets
    ]
    note = f"{cost_words(total.cost_microusd / MICRO)} in all · n {total.priced}"
    return Measure(value, cost_words(value), note, spark=spark)


@kpi("human", "Human time per run", unit="seconds", better="down", drill={"approval": "any"})
def human_time(numbers: Numbers) -> Measure:
    """How long people looked at questions, for each run."""
    runs, human = numbers.all.runs, numbers.human
    if not runs or not human.dwell_n:
        return Measure(note=f"{human.asked} questions asked" if human.asked else "nobody was asked")
    value = human.dwell_total_s / runs
    note = f"{human.dwell_n} answers, median {measured_words(human.dwell_p50_s)}"
    return Measure(value, measured_words(value), note)


@kpi("waiting", "Waiting now", unit="count", better="down", drill={"state": "waiting_approval"})
def waiting_now(numbers: Numbers) -> Measure:
    """How many runs wait for an approval now."""
    oldest = f"oldest {measured_words(numbers.waiting_s)}" if numbers.waiting_now else "none waits"
    return Measure(numbers.waiting_now, f"{numbers.waiting_now:,}", oldest)


@kpi("violations", "Violations", unit="count", better="down", drill={"violation": "1"})
def violations(numbers: Numbers) -> Measure:
    """How many runs met a hard rule."""
    n, runs = numbers.all.violations, numbers.all.runs
    note = f"{percent(n / runs)} of {runs:,} runs" if runs else ""
    return Measure(n, f"{n:,}", note, "0", n == 0, [t.violations for t in numbers.buckets])


@kpi("unknown", "Unknown now", unit="count", better="down", drill={"state": "confirmation_unknown"})
def unknown_open(numbers: Numbers) -> Measure:
    """How many runs wait for somebody to find out about a lost call."""
    n = numbers.unknown_now
    note = f"oldest {measured_words(numbers.unknown_s)}" if n else "none open"
    return Measure(n, f"{n:,}", note, "0", n == 0)


def change(definition: Kpi, now: Measure, before: Measure) -> tuple[str, str, bool | None]:
    """How a measure moved: words, direction, and whether that is for the better."""
    if now.value is None or before.value is None:
        return "nothing to compare with", "", None
    step = now.value - before.value
    if abs(step) < 1e-9:
        return "unchanged", "", None
    words = {
        "share": f"{abs(step) * 100:.1f} points",
        "seconds": measured_words(abs(step)),
        "usd": cost_words(abs(step)),
        "count": f"{abs(step):,.0f}",
    }[definition.unit]
    way = "up" if step > 0 else "down"
    return words, way, way == definition.better if definition.better else None
