"""What runs came to, over a scope: counts, durations and the terms they are held against.

A scope is a cohort: the runs *started* in a stretch of time, whatever became of them since. So each
number here can be listed run by run with the same two times, and a slow run isn't lost between two
stretches. The hot read is one grouped statement whose few rows every count is rolled up from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, Func, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.fields import DateTimeField, FloatField

from apps.catalog.selectors.contracts import contract
from apps.runs.domain.states import State
from apps.runs.models import Run

# Cancelled runs were withdrawn by a person: neither a success nor a failure of the job.
FINISHED = (State.SUCCEEDED, State.FAILED, State.COMPENSATED, State.SHED)
OPEN = (State.ACCEPTED, State.QUEUED, State.RUNNING, State.WAITING_APPROVAL)
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)  # a Saturday's midnight: buckets up to a day align to it
DIMENSIONS = {
    "job": ("job_slug",),
    "contract": ("job_slug", "contract_number"),
    "agent": ("agent_label",),
}
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs are meant; an empty field means any."""

    since: datetime
    until: datetime
    domain: str = ""
    job: str = ""
    contract: int | None = None
    agent: str = ""
    source: str = ""

    def runs(self) -> QuerySet[Run]:
        """The cohort: runs started in ``[since, until)`` that fit the filters."""
        exact = {
            "domain_slug": self.domain,
            "job_slug": self.job,
            "contract_number": self.contract,
            "agent_label": self.agent,
            "source": self.source,
        }
        given = {name: value for name, value in exact.items() if value not in ("", None)}
        return Run.objects.filter(
            created_at__gte=self.since, created_at__lt=self.until, **given
        ).order_by()

    def cohort_sql(self, *columns: str, **expressions: Any) -> tuple[str, tuple[Any, ...]]:
        """The cohort as a statement to join with, and its parameters."""
        rows = self.runs().values(*columns, **expressions)
        return rows.query.sql_with_params()


@dataclass(frozen=True, slots=True)
class Cell:
    """Runs that agree in everything a chart tells apart."""

    bucket: datetime
    domain_slug: str
    job_slug: str
    contract_number: int
    contract_version_id: int
    agent_label: str
    state: str
    outcome: str
    error_class: str
    runs: int
    violations: int
    held: int
    metered: int
    priced: int
    tokens_in: int
    tokens_out: int
    cost_microusd: int

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def is_success(self) -> bool:
        """The engine gives ``succeeded`` only for the outcome that the contract counts."""
        return self.state == State.SUCCEEDED

    def key(self, dimension: str) -> Key:
        return tuple(getattr(self, column) for column in DIMENSIONS[dimension])


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from start to outcome of ``n`` finished runs."""

    n: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class DurationSeries:
    overall: Durations
    by_bucket: dict[datetime, Durations]
    by_key: dict[Key, Durations]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract promises: success share, p95 and the longest bearable time, in seconds."""

    target: float
    p95_s: float
    budget_s: float


class DateBin(Func):
    """PostgreSQL's date_bin: the start of the bucket that a time falls into."""

    function = "date_bin"
    output_field = DateTimeField()

    def __init__(self, column: str, width: timedelta) -> None:
        super().__init__(Value(width), F(column), Value(ORIGIN))


def floor_to(at: datetime, width: timedelta) -> datetime:
    """The start of the bucket of ``at``, as the database's date_bin has it."""
    return at - (at - ORIGIN) % width


def buckets(scope: Scope, width: timedelta) -> Iterator[datetime]:
    """Starts of all buckets of the scope, also of those without a run."""
    at = floor_to(scope.since, width)
    while at < scope.until:
        yield at
        at += width


def cells(scope: Scope, width: timedelta) -> list[Cell]:
    """The cohort, counted by bucket and everything a chart tells apart."""
    rows = (
        scope.runs()
        .annotate(bucket=DateBin("created_at", width))
        .values(
            "bucket",
            "domain_slug",
            "job_slug",
            "contract_number",
            "contract_version_id",
            "agent_label",
            "state",
            "outcome",
            "error_class",
        )
        .annotate(
            runs=Count("*"),
            violations=Count("pk", filter=Q(has_violation=True)),
            held=Count("pk", filter=Q(had_hold=True)),
            metered=Count("pk", filter=Q(tokens_in__gt=0) | Q(tokens_out__gt=0)),
            priced=Count("cost_microusd"),
            tokens_in=Sum("tokens_in"),
            tokens_out=Sum("tokens_out"),
            cost_microusd=Sum("cost_microusd", default=0),
        )
    )
    return [
        Cell(**{**row, "tokens_in": int(row["tokens_in"]), "tokens_out": int(row["tokens_out"])})
        for row in rows
    ]


def durations(scope: Scope, width: timedelta, dimension: str) -> DurationSeries:
    """Median and 95th percentile of the time to outcome: overall, by bucket and by key."""
    columns = DIMENSIONS[dimension]
    inner, params = _finished_sql(scope, width, columns)
    names = ", ".join(columns)  # from the table above, never from a request
    statement = (
        f"WITH cohort AS ({inner})"  # noqa: S608
        f" SELECT grouping(bucket), grouping({columns[0]}), bucket, {names}, count(*),"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)"
        f" FROM cohort GROUP BY GROUPING SETS ((), (bucket), ({names}))"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return _series(cursor.fetchall(), len(columns))


def _finished_sql(
    scope: Scope, width: timedelta, columns: Collection[str]
) -> tuple[str, tuple[Any, ...]]:
    rows = scope.runs().filter(state__in=FINISHED, finished_at__isnull=False)
    seconds = Func(
        F("finished_at") - F("created_at"),
        template="extract(epoch FROM %(expressions)s)",
        output_field=FloatField(),
    )
    picked = rows.values(*columns, bucket=DateBin("created_at", width), seconds=seconds)
    return picked.query.sql_with_params()


def _series(rows: Iterable[tuple[Any, ...]], width: int) -> DurationSeries:
    overall, by_bucket, by_key = Durations(), {}, {}
    for no_bucket, no_key, bucket, *rest in rows:
        key, (n, p50, p95) = tuple(rest[:width]), rest[width:]
        found = Durations(n, None if p50 is None else float(p50), p95 and float(p95))
        if not no_bucket:
            by_bucket[bucket] = found
        elif not no_key:
            by_key[key] = found
        else:
            overall = found
    return DurationSeries(overall, by_bucket, by_key)


def terms(version_ids: Collection[int]) -> dict[int, Terms]:
    """What each of these contract versions promises."""
    pinned = {pk: contract(pk) for pk in set(version_ids)}
    return {
        pk: Terms(c.outcome.target, c.slo.latency_p95_s, c.slo.latency_budget_s)
        for pk, c in pinned.items()
    }


@dataclass(frozen=True, slots=True)
class Choices:
    """Values that the runs of a stretch of time have, for filters."""

    domains: tuple[str, ...]
    jobs: tuple[str, ...]
    contracts: tuple[tuple[str, int], ...]
    agents: tuple[str, ...]
    sources: tuple[str, ...]


def choices(since: datetime, until: datetime) -> Choices:
    """What can be filtered by in this stretch, in one grouped read."""
    rows = list(
        Scope(since, until)
        .runs()
        .values_list("domain_slug", "job_slug", "contract_number", "agent_label", "source")
        .distinct()
    )
    return Choices(
        tuple(sorted({r[0] for r in rows})),
        tuple(sorted({r[1] for r in rows})),
        tuple(sorted({(r[1], r[2]) for r in rows})),
        tuple(sorted({r[3] for r in rows})),
        tuple(sorted({r[4] for r in rows})),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand now, whatever the range."""

    by_state: dict[str, int]
    oldest_waiting: datetime | None
    oldest_unknown: datetime | None

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


def standing(scope: Scope | None = None) -> Standing:
    """Runs that are open now, by state, and since when the oldest needs a person."""
    unfinished = (*OPEN, State.CONFIRMATION_UNKNOWN, State.COMPENSATING)
    rows = Run.objects.order_by() if scope is None else _unbounded(scope)
    found = list(
        rows.filter(state__in=unfinished)
        .values_list("state")
        .annotate(n=Count("*"), oldest=Min("created_at"))
    )
    by_state = {state: n for state, n, _ in found}
    oldest = {state: at for state, _, at in found}
    return Standing(
        by_state, oldest.get(State.WAITING_APPROVAL), oldest.get(State.CONFIRMATION_UNKNOWN)
    )


def _unbounded(scope: Scope) -> QuerySet[Run]:
    far = datetime(9999, 1, 1, tzinfo=UTC)
    wide = Scope(ORIGIN, far, scope.domain, scope.job, scope.contract, scope.agent, scope.source)
    return wide.runs()


def last_started(scope: Scope) -> datetime | None:
    """When the latest run that fits the filters started, whatever the time range."""
    found: datetime | None = _unbounded(scope).aggregate(at=Max("created_at"))["at"]
    return found
