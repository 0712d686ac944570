"""Each number that people steer by, defined once. A definition's docstring is what the page shows
under "how it's measured": its formula, what counts, and where the method comes from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import Any, TypeVar

from apps.runs.domain.states import State
from apps.runs.selectors.outcomes import Cell, DurationSeries, Terms

TOO_FEW = 20
Z95 = NormalDist().inv_cdf(0.975)
MICRO = 1_000_000
DASH = "\N{EN DASH}"
K = TypeVar("K")


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The 95 % score interval of a share (E. B. Wilson, 1927, JASA 22, 209-212): it stays inside
    0 to 1 and holds for small n, where the usual p ± 1.96·s doesn't."""
    if n <= 0:
        return 0.0, 1.0
    share, square = successes / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


@dataclass(frozen=True, slots=True)
class Share:
    """``successes`` of ``n``; below twenty the share isn't shown, since it would mislead."""

    successes: int
    n: int

    @property
    def is_too_few(self) -> bool:
        return self.n < TOO_FEW

    @property
    def value(self) -> float | None:
        return self.successes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.successes, self.n)

    @property
    def words(self) -> str:
        """``85 %``, or why there is none."""
        if self.value is None:
            return DASH
        return "too few" if self.is_too_few else percent(self.value)

    @property
    def interval_words(self) -> str:
        low, high = self.interval
        return "" if self.is_too_few else f"{percent(low)} to {percent(high)}"


def percent(share: float) -> str:
    """Whole percents, but never a rounded-up "100 %" or a rounded-down "0 %"."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{share * 100:.1f} %"
    return f"{share * 100:.0f} %"


@dataclass(slots=True)
class Tally:
    """Counts of a group of runs, rolled up from cells."""

    runs: int = 0
    finished: int = 0
    succeeded: int = 0
    violations: int = 0
    unknown: int = 0
    metered: int = 0
    priced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int = 0
    versions: dict[int, tuple[int, int]] = field(default_factory=dict)  # id → number, finished

    def add(self, cell: Cell) -> None:
        finished = cell.runs * cell.is_finished
        self.runs += cell.runs
        self.finished += finished
        self.succeeded += cell.runs * cell.is_success
        self.unknown += cell.runs * (cell.state == State.CONFIRMATION_UNKNOWN)
        for name in ("violations", "metered", "priced"):
            setattr(self, name, getattr(self, name) + getattr(cell, name))
        self.tokens_in += cell.tokens_in
        self.tokens_out += cell.tokens_out
        self.cost_microusd += cell.cost_microusd
        before = self.versions.get(cell.contract_version_id, (0, 0))[1]
        self.versions[cell.contract_version_id] = (cell.contract_number, before + finished)

    @property
    def success(self) -> Share:
        return Share(self.succeeded, self.finished)

    def newest_version(self) -> int:
        return max(self.versions, key=lambda pk: self.versions[pk][0])


def tally(cells: Iterable[Cell]) -> Tally:
    """All cells as one group."""
    found = Tally()
    for cell in cells:
        found.add(cell)
    return found


def tally_by(cells: Iterable[Cell], key: Callable[[Cell], K]) -> dict[K, Tally]:
    """Cells grouped by ``key``."""
    found: dict[K, Tally] = {}
    for cell in cells:
        found.setdefault(key(cell), Tally()).add(cell)
    return found


def target_of(group: Tally, terms: Mapping[int, Terms]) -> float | None:
    """The share that the group's contracts promise together: their targets, weighted by how many
    runs finished under each."""
    weights = {pk: max(n, 1) for pk, (_, n) in group.versions.items() if pk in terms}
    if not weights:
        return None
    return sum(terms[pk].target * w for pk, w in weights.items()) / sum(weights.values())


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
    better: str  # up | down
    compute: Callable[[Numbers], Measure]
    drill: Mapping[str, Any]

    @property
    def how(self) -> list[str]:
        """The definition for people, a paragraph an item."""
        text = inspect.cleandoc(self.compute.__doc__ or "")
        return [" ".join(part.split()) for part in text.split("\n\n")]


KPIS: dict[str, Kpi] = {}
Compute = Callable[[Numbers], Measure]


def kpi(
    key: str, title: str, *, unit: str, better: str, drill: Mapping[str, Any] | None = None
) -> Callable[[Compute], Compute]:
    def register(compute: Compute) -> Compute:
        KPIS[key] = Kpi(key, title, unit, better, compute, drill or {})
        return compute

    return register


def seconds_words(seconds: float | None) -> str:
    """``3.2 s``, ``1 m 04 s``, ``2 h 05 m``."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def usd_words(usd: float | None) -> str:
    """Small sums keep the digits that tell them apart."""
    if usd is None:
        return DASH
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


@kpi("success", "Success share", unit="share", better="up", drill={"state": "succeeded"})
def success_share(numbers: Numbers) -> Measure:
    """Succeeded runs ÷ finished runs, of the runs that started in the range. Finished are
    succeeded, failed, compensated (what the run did was undone) and shed (turned away under load);
    open runs, those a person cancelled and forks made to try something don't count.

    A run succeeds when it reaches the outcome that its contract counts: for most jobs a receipt of
    one of the contract's tools. The bar is the 95 % score interval (Wilson 1927); below 20 finished
    runs the share is not shown.

    Target: the shares the contracts promise, weighted by finished runs.
    """
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


@kpi("time", "Time to outcome, p95", unit="seconds", better="down", drill={})
def time_to_outcome(numbers: Numbers) -> Measure:
    """From the moment a case is accepted until it has its outcome, waiting for people included:
    the time 95 % of the succeeded and failed runs stay under (and 50 %, the median), by linear
    interpolation (PostgreSQL's percentile_cont; Hyndman & Fan 1996, type 7). Shed runs never began,
    and an undone run ends whenever a person undoes it: neither says how long customers wait.

    Target: the smallest latency_p95_s of the contracts. The budget, latency_budget_s, is the
    longest a customer should ever wait.
    """
    overall = numbers.times.overall
    promised = min((t.p95_s for t in numbers.terms.values()), default=None)
    return Measure(
        overall.p95,
        seconds_words(overall.p95),
        f"median {seconds_words(overall.p50)} · n {overall.n}",
        seconds_words(promised) if promised else "",
        overall.p95 <= promised if overall.p95 is not None and promised else None,
        numbers.bucket_times,
    )


@kpi("cost", "Cost per outcome", unit="usd", better="down", drill={"state": "succeeded"})
def cost_per_outcome(numbers: Numbers) -> Measure:
    """What the models of all runs in the range cost ÷ succeeded runs: failed runs are paid for by
    those that succeed.

    Only runs whose price is known count; reference and recorded agents call no model, so they have
    none.
    """
    total = numbers.all
    if not total.priced or not total.succeeded:
        known = f"price known for {total.priced} of {total.runs} runs"
        return Measure(note=known if total.runs else "")
    value = total.cost_microusd / MICRO / total.succeeded
    spark = [
        t.cost_microusd / MICRO / t.succeeded if t.priced and t.succeeded else None
        for t in numbers.buckets
    ]
    note = f"{usd_words(total.cost_microusd / MICRO)} in all · n {total.priced}"
    return Measure(value, usd_words(value), note, spark=spark)


@kpi("human", "Human time per run", unit="seconds", better="down", drill={"approval": "any"})
def human_time(numbers: Numbers) -> Measure:
    """Seconds for which a request was visible to the person who answered it, summed over all
    answers ÷ runs in the range, also those that asked nobody.

    Dwell is measured in the browser and only while the page is visible; answers without it count
    as zero, so this is a lower bound.
    """
    runs, human = numbers.all.runs, numbers.human
    if not runs or not human.dwell_n:
        return Measure(note=f"{human.asked} questions asked" if human.asked else "nobody was asked")
    value = human.dwell_total_s / runs
    note = f"{human.dwell_n} answers, median {seconds_words(human.dwell_p50_s)}"
    return Measure(value, seconds_words(value), note)


@kpi("waiting", "Waiting now", unit="count", better="down", drill={"state": "waiting_approval"})
def waiting_now(numbers: Numbers) -> Measure:
    """Runs that wait for a person's approval at this moment, whatever the range, and how long ago
    the oldest of them started."""
    oldest = f"oldest {seconds_words(numbers.waiting_s)}" if numbers.waiting_now else "none waits"
    return Measure(numbers.waiting_now, f"{numbers.waiting_now:,}", oldest)


@kpi("violations", "Violations", unit="count", better="down", drill={"violation": "1"})
def violations(numbers: Numbers) -> Measure:
    """Runs in which a hard rule of policy denied at least one proposed action. The action was not
    carried out: this counts attempts that were stopped."""
    n, runs = numbers.all.violations, numbers.all.runs
    note = f"{percent(n / runs)} of {runs:,} runs" if runs else ""
    return Measure(n, f"{n:,}", note, "0", n == 0, [t.violations for t in numbers.buckets])


@kpi("unknown", "Unknown now", unit="count", better="down", drill={"state": "confirmation_unknown"})
def unknown_open(numbers: Numbers) -> Measure:
    """Runs whose last call may or may not have taken effect, at this moment, whatever the range:
    the answer was lost and the tool couldn't be asked. A person has to look."""
    n = numbers.unknown_now
    note = f"oldest {seconds_words(numbers.unknown_s)}" if n else "none open"
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
        "seconds": seconds_words(abs(step)),
        "usd": usd_words(abs(step)),
        "count": f"{abs(step):,.0f}",
    }[definition.unit]
    way = "up" if step > 0 else "down"
    return words, way, way == definition.better
