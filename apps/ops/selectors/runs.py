"""Lists of runs: one filter for the page, its histogram, its export and its live refresh."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils import timezone

from apps.catalog.models import Domain, Job, Tool
from apps.ops.models import ObjectReference
from apps.ops.selectors.objects import key_of
from apps.outcomes.domain.counting import CountsAs
from apps.outcomes.domain.tally import Tally
from apps.outcomes.selectors.counted import Percentile, counted_as, not_forked, shown, sums
from apps.outcomes.selectors.outcomes import DateBin
from apps.oversight.domain.searching import terms
from apps.oversight.models import Approval
from apps.oversight.selectors import GIVEN
from apps.policy.models import Decision
from apps.runs.domain.results import AttemptOutcome
from apps.runs.domain.states import NEEDS_A_PERSON, UNSETTLED, State
from apps.runs.models import Attempt, Run, Step
from apps.web.domain.quantities import MICRO, cost_words

PAGE = 50
COUNT_LIMIT = 10_000
EXPORT_LIMIT = 50_000
EXPORT_CHUNK = 2_000
FACET_WINDOW = 2_000
PROBLEMS = (State.FAILED, State.CONFIRMATION_UNKNOWN)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for; every field is optional. The URL carries exactly these."""

    states: tuple[str, ...] = ()
    domain: str = ""
    job: str = ""
    contract: int | None = None
    agent: str = ""
    outcome: str = ""
    counts_as: tuple[CountsAs, ...] = ()  # what they are to the numbers of their job
    error_class: str = ""
    tool: str = ""
    rule: str = ""
    source: str = ""
    origin: str = ""
    counted: bool = False  # only runs that KPIs count: no forks, unless a source is asked for
    reference: str = ""  # the caller's own name of the case
    tenant: str = ""  # the service account that started them
    approval: str = ""  # any, or a state of an approval that the run asked for
    needs_me: bool = False
    violation: bool = False
    problems: bool = False
    since: datetime | None = None
    until: datetime | None = None
    ended_since: datetime | None = None
    text: str = ""

    def rows(self) -> QuerySet[Run]:
        """Matching runs, in no order."""
        rows = Run.objects.filter(**self._exact())
        if states := self._states():
            rows = rows.filter(state__in=states)
        if self.tool:
            rows = rows.filter(
                Exists(Step.objects.filter(run_id=OuterRef("pk"), tool_name=self.tool))
            )
        if self.counted and not self.source:
            rows = rows.filter(not_forked())
        if self.counts_as:
            rows = rows.filter(counted_as(*self.counts_as))
        if self.rule:
            rows = rows.filter(pk__in=self._ruled())
        if self.approval:
            rows = rows.filter(pk__in=self._asked())
        return rows.filter(_text(self.text)) if self.text else rows

    def _exact(self) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "domain_slug": self.domain,
            "job_slug": self.job,
            "contract_number": self.contract,
            "agent_label": self.agent,
            "outcome": self.outcome,
            "error_class": self.error_class,
            "source": self.source,
            "origin": self.origin,
            "case_ref": self.reference,
            "tenant": self.tenant,
            "has_violation": self.violation,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "finished_at__gte": self.ended_since,
        }
        return {name: value for name, value in asked.items() if value}

    def _states(self) -> set[str]:
        """The states that all switches together leave; an impossible mix leaves one that no run
        is in, so that nothing is shown."""
        asked = [set(self.states)] if self.states else []
        if self.needs_me:
            asked.append({str(s) for s in NEEDS_A_PERSON})
        if self.problems:
            asked.append({str(s) for s in PROBLEMS})
        return (set.intersection(*asked) or {""}) if asked else set()

    def _asked(self) -> QuerySet[Any]:
        """Runs that asked a person, and got this answer."""
        approvals = Approval.objects.all()
        if self.approval != "any":
            wanted = GIVEN if self.approval in GIVEN else [self.approval]
            approvals = approvals.filter(state__in=wanted)
        return approvals.values("run_id")

    def _ruled(self) -> QuerySet[Any]:
        """Runs in which a policy rule had a say."""
        decisions = Decision.objects.filter(rules__contains=[{"id": self.rule}])
        if self.since:
            decisions = decisions.filter(at__gte=self.since)
        return decisions.values("run_id")


def _text(typed: str) -> Q:
    """Runs in which every word is found: in what they say, in their id, or among the ids of the
    things that they or their steps name."""
    return Q(*map(_word, (term.text for term in terms(typed))))


def _word(text: str) -> Q:
    found = Q(customer__icontains=text) | Q(case_ref__icontains=text) | Q(request__icontains=text)
    naming = ObjectReference.objects.filter(key=key_of(text))
    found |= Q(pk__in=naming.values("run_id"))
    try:
        return found | Q(pk=UUID(text))
    except ValueError:
        return found | Q(id__endswith=text.lower()) if _may_end_an_id(text) else found


def _may_end_an_id(text: str) -> bool:
    return 4 <= len(text) <= 12 and all(c in "0123456789abcdef" for c in text.lower())


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list, newest first."""

    created_at: datetime
    run_id: UUID

    def __str__(self) -> str:
        micros = (self.created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        return f"{micros}.{self.run_id}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The cursor that ``text`` names, ``None`` if it names none."""
        micros, _, run_id = text.partition(".")
        if not micros.isdecimal() or len(micros) > 17:
            return None
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))
            return cls(moment, UUID(run_id))
        except (ValueError, OverflowError):
            return None

    @classmethod
    def at(cls, run: Run) -> Cursor:
        return cls(run.created_at, run.id)


def run_cost(run: Run) -> str:
    """What a run's model cost; empty where nobody knows."""
    return "" if run.cost_microusd is None else cost_words(run.cost_microusd / MICRO)


@dataclass(slots=True)
class RunRow:
    """One line of a list: the run and whom or what it waits for."""

    run: Run
    waits_for: str = ""
    waits_since: datetime | None = None

    @property
    def duration(self) -> timedelta | None:
        run = self.run
        if run.finished_at is None:
            return None
        return run.finished_at - (run.started_at or run.created_at)

    @property
    def cost(self) -> str:
        return run_cost(self.run)


@dataclass(frozen=True, slots=True)
class RunPage:
    rows: list[RunRow]
    older: str
    newest: str


def page(wanted: RunFilter, *, before: Cursor | None = None, size: int = PAGE) -> RunPage:
    """A page by key, newest first: two queries, however many rows."""
    found = list(_before(wanted.rows(), before)[: size + 1])
    more, found = len(found) > size, found[:size]
    older = str(Cursor.at(found[-1])) if more else ""
    newest = str(Cursor.at(found[0])) if found else ""
    return RunPage(_with_waits(found), older, newest)


def _before(rows: QuerySet[Run], cursor: Cursor | None) -> QuerySet[Run]:
    rows = rows.order_by("-created_at", "-id")
    if cursor is None:
        return rows
    # The first condition is what the index can seek; the second settles equal moments.
    return rows.filter(created_at__lte=cursor.created_at).filter(
        Q(created_at__lt=cursor.created_at) | Q(id__lt=cursor.run_id)
    )


def _with_waits(runs: Sequence[Run]) -> list[RunRow]:
    open_steps = (
        Step.objects.filter(run_id__in=[r.id for r in runs])
        .filter(state__in=UNSETTLED)
        .order_by("run_id", "seq")
        .values_list("run_id", "state", "tool_name", "attempts_made", "gated_at", "created_at")
    )
    waits: dict[UUID, tuple[str, datetime]] = {}
    for run_id, state, tool, attempts, gated_at, created_at in open_steps:
        waits[run_id] = (_wait_words(state, tool, attempts), gated_at or created_at)
    return [RunRow(run, *waits.get(run.id, ("", None))) for run in runs]


def _wait_words(state: str, tool: str, attempts: int) -> str:
    if state == State.WAITING_APPROVAL:
        return f"a person: {tool}"
    if state == State.CONFIRMATION_UNKNOWN:
        return f"proof: {tool}"
    if state == State.QUEUED and attempts:
        return f"retry: {tool}"
    return tool


def rows_by_id(run_ids: Sequence[UUID]) -> list[RunRow]:
    """The named runs as list rows, for refreshing what a page already shows."""
    return _with_waits(list(Run.objects.filter(pk__in=run_ids)))


def newer_than(wanted: RunFilter, cursor: Cursor) -> int:
    """How many matching runs came after ``cursor`` (counted up to 100)."""
    rows = wanted.rows().filter(created_at__gte=cursor.created_at)
    fresh = rows.filter(Q(created_at__gt=cursor.created_at) | Q(id__gt=cursor.run_id))
    return fresh.order_by()[:100].count()


def count(wanted: RunFilter) -> int:
    """How many runs match, counted up to ``COUNT_LIMIT`` + 1."""
    return wanted.rows().order_by()[: COUNT_LIMIT + 1].count()


def numbers(wanted: RunFilter) -> Tally:
    """What all matching runs came to, in one query."""
    return Tally(**wanted.rows().aggregate(**sums()))


def export(wanted: RunFilter) -> Iterator[Run]:
    """Matching runs, newest first, up to ``EXPORT_LIMIT``; read in chunks by key, so that no
    cursor or transaction stays open while a slow browser reads."""
    cursor: Cursor | None = None
    for _ in range(EXPORT_LIMIT // EXPORT_CHUNK):
        found = list(_before(wanted.rows(), cursor)[:EXPORT_CHUNK])
        yield from found
        if len(found) < EXPORT_CHUNK:
            return
        cursor = Cursor.at(found[-1])


# --- histogram ------------------------------------------------------------------------------------

WIDTHS = tuple(
    timedelta(seconds=s)
    for s in (10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400)
)
BUCKETS = 60
HISTORY = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Bucket:
    since: datetime
    until: datetime
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def histogram(wanted: RunFilter, *, now: datetime) -> list[Bucket]:
    """Matching runs over time by state, those that were handed over apart, in at most ``BUCKETS``
    buckets of an even width. Looks back 90 days at most."""
    floor = max(wanted.since or now - HISTORY, now - HISTORY)
    rows = replace(wanted, since=floor).rows()
    since = wanted.since or rows.aggregate(first=Min("created_at"))["first"]
    until = min(wanted.until or now, now)
    if since is None or since >= until:
        return []
    width = next((w for w in WIDTHS if (until - since) / w <= BUCKETS), WIDTHS[-1])
    origin = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday
    start = origin + (max(since, floor) - origin) // width * width
    buckets = {}
    while start < until:
        buckets[start] = Bucket(start, start + width)
        start += width
    rows = rows.annotate(bucket=DateBin("created_at", width, origin), shown=shown())
    for bucket, state, n in rows.values_list("bucket", "shown").annotate(n=Count("*")).order_by():
        if bucket in buckets:
            buckets[bucket].counts[state] = n
    return list(buckets.values())


# --- what can be filtered by ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facets:
    """Values seen in the latest runs, and names from the catalog, for the filter fields."""

    agents: list[str]
    outcomes: list[str]
    errors: list[str]
    sources: list[str]
    contracts: list[int]
    jobs: list[tuple[str, str]]
    domains: list[tuple[str, str]]
    tools: list[str]


def facets() -> Facets:
    """Four queries, independent of how many runs there are."""
    columns = ("agent_label", "outcome", "error_class", "source", "contract_number")
    latest = Run.objects.order_by("-created_at", "-id").values(*columns)[:FACET_WINDOW]
    rows, params = latest.query.sql_with_params()
    found = ", ".join(f"array_agg(DISTINCT {name})" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {found} FROM ({rows}) latest", params)  # noqa: S608  # the columns above
        seen = [[value for value in values or () if value] for values in cursor.fetchone()]
    return Facets(
        *seen,
        jobs=list(Job.objects.order_by("name").values_list("slug", "name")),
        domains=list(Domain.objects.order_by("name").values_list("slug", "name")),
        tools=list(Tool.objects.order_by("name").values_list("name", flat=True).distinct()),
    )


# --- numbers for other pages ----------------------------------------------------------------------


def of_job(slug: str, *, limit: int = 10) -> list[RunRow]:
    """The latest runs of a job."""
    rows = Run.objects.filter(job_slug=slug).order_by("-created_at", "-id")[:limit]
    return _with_waits(list(rows))


@dataclass(frozen=True, slots=True)
class ToolHealth:
    """A tool's attempts in the last day."""

    calls: int
    failed: int
    unknown: int
    refused: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def error_percent(self) -> float | None:
        return 100 * (self.failed + self.unknown) / self.calls if self.calls else None


def tool_health(domain: str, name: str) -> ToolHealth:
    """Calls, errors and latency of one tool over 24 hours, in one query."""
    ended = Attempt.objects.filter(
        ended_at__isnull=False,
        step__tool_name=name,
        step__created_at__gt=Now() - timedelta(hours=24),
        step__run__domain_slug=domain,
    )
    failed = [AttemptOutcome.RETRYABLE, AttemptOutcome.TIMEOUT]
    return ToolHealth(
        **ended.aggregate(
            calls=Count("*"),
            failed=Count("pk", filter=Q(outcome__in=failed)),
            unknown=Count("pk", filter=Q(outcome=AttemptOutcome.UNKNOWN)),
            refused=Count("pk", filter=Q(outcome=AttemptOutcome.TOOL_ERROR)),
            p50_ms=Percentile("duration_ms", 0.5),
            p95_ms=Percentile("duration_ms", 0.95),
        )
    )


def newest_at() -> datetime | None:
    """When the latest run was accepted, whatever the filter."""
    return (
        Run.objects.order_by(F("created_at").desc(), "-id")
        .values_list("created_at", flat=True)
        .first()
    )


def of_account(account: str, ids: Collection[UUID]) -> set[UUID]:
    """Which of these runs the service account started."""
    return set(Run.objects.filter(pk__in=ids, tenant=account).values_list("pk", flat=True))


def spent_usd(account: str) -> Decimal:
    """What models have cost the runs that the service account began in the last 24 hours."""
    rows = Run.objects.filter(tenant=account, created_at__gt=timezone.now() - timedelta(days=1))
    return Decimal(rows.aggregate(sum=Sum("cost_microusd"))["sum"] or 0) / MICRO
