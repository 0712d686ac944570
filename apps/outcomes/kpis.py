"""Each number that people steer by, defined once. A definition's docstring is what the page shows
under "how it's measured": its formula, what counts, and where the method comes from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.outcomes.domain.counting import TOO_FEW as TOO_FEW
from apps.outcomes.domain.counting import CountsAs, percent
from apps.outcomes.domain.counting import Share as Share
from apps.outcomes.domain.counting import wilson as wilson
from apps.outcomes.domain.tally import Tally, Terms, target_of
from apps.outcomes.domain.tally import tally as tally
from apps.outcomes.selectors.outcomes import DurationSeries
from apps.web.domain.quantities import DASH, MICRO, cost_words, measured_words


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
    better: str  # up | down; empty: neither
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


@kpi("success", "Success share", unit="share", better="up", drill={"counts_as": CountsAs.SUCCESS})
def success_share(numbers: Numbers) -> Measure:
    """Succeeded runs ÷ finished runs, of the runs that started in the range. Finished are
    succeeded, failed, compensated (what the run did was undone) and shed (turned away under load);
    open runs, those a person cancelled, those the agent properly handed over to a person and forks
    made to try something don't count.

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


@kpi(
    "handed_over",
    "Handed over",
    unit="count",
    better="",
    drill={"counts_as": CountsAs.HANDED_OVER},
)
def handed_over(numbers: Numbers) -> Measure:
    """Runs of the range in which the agent gave the case to a person by a tool that the contract
    names for it (outcome.hand_over), and in which nothing else went wrong. They are neither a
    success nor a failure of the job, so the success share leaves them out; beside them stands
    their share of the runs that have ended, the cancelled ones left out.
    """
    n = numbers.all.handed_over
    ended = n + numbers.all.finished
    note = f"{percent(n / ended)} of {ended:,} ended runs" if ended else ""
    return Measure(n, f"{n:,}", note, spark=[t.handed_over for t in numbers.buckets])


@kpi("time", "Time to outcome, p95", unit="seconds", better="down", drill={})
def time_to_outcome(numbers: Numbers) -> Measure:
    """From the moment a case is accepted until it has its outcome, waiting for people included:
    the time 95 % of the succeeded and failed runs stay under (and 50 %, the median), by linear
    interpolation (PostgreSQL's percentile_cont; Hyndman & Fan 1996, type 7). Shed runs never began,
    an undone run ends whenever a person undoes it, and whoever was handed over waits on: none of
    them says how long customers wait.

    Target: the smallest latency_p95_s of the contracts. The budget, latency_budget_s, is the
    longest a customer should ever wait.
    """
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
    """What the models of all runs in the range cost ÷ succeeded runs: failed and handed over runs
    are paid for by those that succeed.

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
    note = f"{cost_words(total.cost_microusd / MICRO)} in all · n {total.priced}"
    return Measure(value, cost_words(value), note, spark=spark)


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
    note = f"{human.dwell_n} answers, median {measured_words(human.dwell_p50_s)}"
    return Measure(value, measured_words(value), note)


@kpi("waiting", "Waiting now", unit="count", better="down", drill={"state": "waiting_approval"})
def waiting_now(numbers: Numbers) -> Measure:
    """Runs that wait for a person's approval at this moment, whatever the range, and how long ago
    the oldest of them started."""
    oldest = f"oldest {measured_words(numbers.waiting_s)}" if numbers.waiting_now else "none waits"
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
