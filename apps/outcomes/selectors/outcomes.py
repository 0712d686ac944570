"""What runs came to, over a scope: counts, durations and the terms they are held against.

A scope is a cohort: the runs *started* in a stretch of time, whatever became of them since. So each
number here can be listed run by run with the same two times, and a slow run isn't lost between two
stretches. The hot read is one grouped statement whose few rows every count is rolled up from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, Func, Max, Min, QuerySet, Value
from django.db.models.fields import DateTimeField, FloatField

from apps.catalog.models import ContractVersion
from apps.catalog.selectors.contracts import readable, targets
from apps.kernel.moments import iso
from apps.outcomes.domain.counting import BY_OUTCOME, CountsAs, Share
from apps.outcomes.domain.tally import DIMENSIONS, Cell, Key, Tally, Terms
from apps.outcomes.selectors.counted import by_outcome, not_forked, sums, timed
from apps.runs.domain.origin import Origin
from apps.runs.domain.states import OPEN, State
from apps.runs.models import Run

ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)  # a Saturday's midnight: buckets up to a day align to it
WEEK = timedelta(days=7)
MOST_BUCKETS = 48
WIDTHS = [timedelta(seconds=s) for s in (30, 60, 120, 300, 900, 1800)] + [
    timedelta(hours=h) for h in (1, 2, 6, 12, 24, 48, 168, 336)
]


def started(since: datetime, until: datetime) -> QuerySet[Run]:
    """Every run started in ``[since, until)``, forks too."""
    return Run.objects.filter(created_at__gte=since, created_at__lt=until).order_by()


@dataclass(frozen=True, slots=True)
class RunsInScope:
    """Which runs are meant; an empty field means any, but forks are meant only when asked for."""

    since: datetime
    until: datetime
    domain: str = ""
    job: str = ""
    contract: int | None = None
    agent: str = ""
    source: str = ""
    origin: str = ""

    def runs(self) -> QuerySet[Run]:
        """The cohort: runs started in ``[since, until)`` that fit the filters."""
        exact = {
            "domain_slug": self.domain,
            "job_slug": self.job,
            "contract_number": self.contract,
            "agent_label": self.agent,
            "source": self.source,
            "origin": self.origin,
        }
        given = {name: value for name, value in exact.items() if value not in ("", None)}
        rows = started(self.since, self.until).filter(**given)
        return rows if self.source else rows.filter(not_forked())

    def listed(self, *kinds: CountsAs) -> dict[str, Any]:
        """What the address of the list of runs says to show exactly the runs of the cohort that
        count as one of these (all of them without one)."""
        moments = {"from": iso(self.since), "to": iso(self.until)}
        filters = {
            "domain": self.domain,
            "job": self.job,
            "contract": self.contract,
            "agent": self.agent,
            "source": self.source,
            "origin": self.origin,
            "counted": "" if self.source else "1",
            "counts_as": [str(kind) for kind in kinds],
        }
        return {k: v for k, v in {**moments, **filters}.items() if v not in ("", None, [])}

    def cohort_sql(self, *columns: str, **expressions: Any) -> tuple[str, tuple[Any, ...]]:
        """The cohort as a statement to join with, and its parameters."""
        rows = self.runs().values(*columns, **expressions)
        return rows.query.sql_with_params()


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from start to outcome of ``n`` runs that ended by their own work."""

    n: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class DurationSeries:
    overall: Durations
    by_bucket: dict[datetime, Durations]
    by_key: dict[Key, Durations]


class DateBin(Func):
    """PostgreSQL's date_bin: the start of the bucket that a time falls into."""

    function = "date_bin"
    output_field = DateTimeField()

    def __init__(self, column: str, width: timedelta, origin: datetime = ORIGIN) -> None:
        super().__init__(Value(width), F(column), Value(origin))


def bucket_width(span: timedelta) -> timedelta:
    """The finest round width that keeps a chart under fifty bars."""
    return next((w for w in WIDTHS if span / w <= MOST_BUCKETS), WIDTHS[-1])


def next_second(now: datetime) -> datetime:
    """Where stretches end that reach to ``now``: whole seconds, so that a link with these times
    lists exactly the runs that were counted."""
    return now.replace(microsecond=0) + timedelta(seconds=1)


def latest(span: timedelta, until: datetime) -> tuple[datetime, datetime]:
    """What every page means by the last hour, day or week: from the start of a whole bucket of
    the charts, since a half one would look like a dip."""
    return floor_to(until - span, bucket_width(span)), until


def floor_to(at: datetime, width: timedelta) -> datetime:
    """The start of the bucket of ``at``, as the database's date_bin has it."""
    return at - (at - ORIGIN) % width


def buckets(scope: RunsInScope, width: timedelta) -> Iterator[datetime]:
    """Starts of all buckets of the scope, also of those without a run."""
    at = floor_to(scope.since, width)
    while at < scope.until:
        yield at
        at += width


@dataclass(frozen=True, slots=True)
class Counts:
    """The cohort, counted along time and counted by kind."""

    by_bucket: list[Cell]
    by_kind: list[Cell]


TOLD = dict(BY_OUTCOME.keys())  # state → outcome; one a state, a test looks
_TIME = ("bucket", "state", "told")
_KIND = ("contract_version_id", "agent_label", "state", "outcome", "error_class")
_SUMS = {
    "runs": "count(*)",
    "violations": "count(*) FILTER (WHERE has_violation)",
    "metered": "count(*) FILTER (WHERE tokens_in > 0 OR tokens_out > 0)",
    "priced": "count(cost_microusd)",
    "tokens_in": "sum(tokens_in)::bigint",
    "tokens_out": "sum(tokens_out)::bigint",
    "cost_microusd": "coalesce(sum(cost_microusd), 0)::bigint",
}


def counts(scope: RunsInScope, width: timedelta) -> Counts:
    """The cohort counted in one pass, along time and by kind: two small sets of groups, where
    their product would be sorted on disk."""
    columns = (*_KIND, "has_violation", "tokens_in", "tokens_out", "cost_microusd")
    inner, params = scope.cohort_sql(
        *columns, bucket=DateBin("created_at", width), told=by_outcome()
    )
    grouped = list(dict.fromkeys((*_TIME, *_KIND)))
    # OFFSET 0 keeps the planner from taking every bucket for as rare as a moment is, and so from
    # sorting what it can hash.
    statement = (
        f"SELECT grouping(bucket), {', '.join(grouped)}, {', '.join(_SUMS.values())}"  # noqa: S608
        f" FROM ({inner} OFFSET 0) cohort"
        f" GROUP BY GROUPING SETS (({', '.join(_TIME)}), ({', '.join(_KIND)}))"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    names = (*grouped, *_SUMS)
    kinds = [_values(names, row[1:]) for row in rows if row[0]]
    return Counts([_of_time(_values(names, row[1:])) for row in rows if not row[0]], _named(kinds))


def _values(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """What this group tells apart, and its sums; what it doesn't is NULL."""
    return {k: v for k, v in zip(names, row, strict=True) if v is not None}


def _of_time(values: dict[str, Any]) -> Cell:
    # Told as yes or no: the planner knows how few groups that makes, and hashes.
    outcome = TOLD[values["state"]] if values.pop("told") else ""
    return Cell(outcome=outcome, **values)


def _named(kinds: Sequence[dict[str, Any]]) -> list[Cell]:
    """A contract version says which job and domain: not worth grouping a hundred thousand rows
    by."""
    versions = ContractVersion.objects.filter(
        pk__in={kind["contract_version_id"] for kind in kinds}
    )
    found = {
        pk: {"domain_slug": domain, "job_slug": job, "contract_number": number}
        for pk, domain, job, number in versions.values_list(
            "pk", "job__domain__slug", "job__slug", "number"
        )
    }
    return [Cell(**{**kind, **found[kind["contract_version_id"]]}) for kind in kinds]


def durations(scope: RunsInScope, width: timedelta, dimension: str) -> DurationSeries:
    """Median and 95th percentile of the time to outcome: overall, by bucket and by key."""
    columns = DIMENSIONS[dimension]
    inner, params = _finished_sql(scope, width, columns)
    names = ", ".join(columns)  # from the table above, never from a request
    statement = (
        f"SELECT grouping(bucket), grouping({columns[0]}), bucket, {names}, count(*),"  # noqa: S608
        " percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds)"
        f" FROM ({inner} OFFSET 0) cohort GROUP BY GROUPING SETS ((), (bucket), ({names}))"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return _series(cursor.fetchall(), len(columns))


def _finished_sql(
    scope: RunsInScope, width: timedelta, columns: Collection[str]
) -> tuple[str, tuple[Any, ...]]:
    rows = scope.runs().filter(timed(), finished_at__isnull=False)
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
        key, (n, percentiles) = tuple(rest[:width]), rest[width:]
        found = Durations(n, *(percentiles or (None, None)))
        if not no_bucket:
            by_bucket[bucket] = found
        elif not no_key:
            by_key[key] = found
        else:
            overall = found
    return DurationSeries(overall, by_bucket, by_key)


def terms(version_ids: Collection[int]) -> dict[int, Terms]:
    """What each of these contract versions promises; those that can't be read promise nothing."""
    return {
        pk: Terms(c.outcome.target, c.slo.latency_p95_s, c.slo.latency_budget_s)
        for pk, c in readable(version_ids).items()
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
        started(since, until)
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


def usual_origin(since: datetime, until: datetime) -> Origin:
    """Which runs of a stretch of time are meant where nobody said."""
    rows = started(since, until)
    # One question after the other: a tower of practice has an empty index of real runs, and every
    # other tower has a run that ends the search at once.
    return next((one for one in Origin if rows.filter(origin=one.value).exists()), Origin.REAL)


@dataclass(frozen=True, slots=True)
class StandingNow:
    """How things stand now, whatever the range."""

    by_state: dict[str, int]
    oldest_waiting: datetime | None
    oldest_unknown: datetime | None

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


def standing(scope: RunsInScope | None = None) -> StandingNow:
    """Runs that are open now, by state, and since when the oldest needs a person."""
    rows = Run.objects.order_by() if scope is None else _unbounded(scope)
    found = list(
        rows.filter(state__in=OPEN)
        .values_list("state")
        .annotate(n=Count("*"), oldest=Min("created_at"))
    )
    by_state = {state: n for state, n, _ in found}
    oldest = {state: at for state, _, at in found}
    return StandingNow(
        by_state, oldest.get(State.WAITING_APPROVAL), oldest.get(State.CONFIRMATION_UNKNOWN)
    )


def _unbounded(scope: RunsInScope) -> QuerySet[Run]:
    far = datetime(9999, 1, 1, tzinfo=UTC)
    return replace(scope, since=ORIGIN, until=far).runs()


def last_started(scope: RunsInScope) -> datetime | None:
    """When the latest run that fits the filters started, whatever the time range."""
    found: datetime | None = _unbounded(scope).aggregate(at=Max("created_at"))["at"]
    return found


# --- one job beside another -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobStats:
    """A job's last seven days, how many of its runs wait for a person now, and what it promises."""

    tally: Tally
    waiting: int
    target: float | None

    @property
    def success(self) -> Share:
        return self.tally.success

    @property
    def verdict(self) -> str:
        return self.success.against(self.target)


def job_stats(slugs: Sequence[str], *, now: datetime) -> tuple[RunsInScope, dict[str, JobStats]]:
    """Numbers of the last seven days for each of ``slugs``, and of which runs: real ones if there
    are any at all in these days, else practice, else replayed ones."""
    since, until = latest(WEEK, next_second(now))
    scope = RunsInScope(since, until, origin=usual_origin(since, until))
    named = {"job_slug__in": slugs}
    rows = scope.runs().filter(**named).values("job_slug").annotate(**sums())
    found = {row.pop("job_slug"): row for row in rows}
    waiting = _unbounded(scope).filter(**named, state=State.WAITING_APPROVAL)
    waits = dict(waiting.values_list("job_slug").annotate(n=Count("*")))
    aims = targets(slugs)
    return scope, {
        slug: JobStats(Tally(**found.get(slug, {})), waits.get(slug, 0), aims.get(slug))
        for slug in slugs
    }
