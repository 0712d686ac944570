"""What waits, what is under way and what each tool bears, for the load page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.functions import Concat, Now

from apps.calls.domain.admission import Class
from apps.calls.domain.budget import CAPACITY
from apps.runs.domain.states import State
from apps.runs.models import Breaker, Budget, Cap, LoadSample, Run, Step, Worker

SEEN_WITHIN = timedelta(seconds=30)


SHED_WITHIN_S = 900


LOOKED_AT = 20_000  # rows of a backlog that a page looks at


OLDEST = 1000


def samples(within_s: float) -> list[LoadSample]:
    """What the sweep saw lately, oldest first."""
    return list(
        LoadSample.objects.filter(at__gt=Now() - timedelta(seconds=within_s)).order_by("at")
    )


def oldest_queued() -> dict[Class, datetime]:
    """Since when the longest waiting run of each class waits, of the thousand oldest."""
    queued = Run.objects.filter(state=State.QUEUED).order_by("created_at")
    since: dict[Class, datetime] = {}
    for cls, at in queued.values_list("criticality_class", "created_at")[:OLDEST]:
        since.setdefault(Class(cls), at)
    return since


@dataclass(frozen=True, slots=True)
class Held:
    """Runs that were deferred or turned away alike: how many, the last reason, and when they may
    begin or come again."""

    job: str
    cls: Class
    count: int
    since: datetime
    last: datetime
    until: datetime | None
    reason: str


def deferred() -> list[Held]:
    """Deferred runs by job and class."""
    return _held(Run.objects.filter(state=State.ACCEPTED))


def shed() -> list[Held]:
    """What was turned away in the last quarter of an hour, by job and class."""
    lately = Now() - timedelta(seconds=SHED_WITHIN_S)
    return _held(Run.objects.filter(state=State.SHED, created_at__gt=lately))


_HELD = """
    SELECT job_slug, criticality_class, count(*), min(created_at), max(created_at),
        max(deferred_until), (array_agg(admission_reason ORDER BY created_at DESC))[1]
    FROM ({seen}) seen GROUP BY 1, 2 ORDER BY 2 DESC, 3 DESC, 1
"""
_PARKED = """
    SELECT waits_for, count(*) FROM ({seen}) seen WHERE waits_for <> ''
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20
"""


def _held(rows: QuerySet[Run]) -> list[Held]:
    columns = ("job_slug", "criticality_class", "created_at", "deferred_until", "admission_reason")
    latest = rows.order_by("-created_at").values(*columns)
    return [Held(job, Class(cls), *rest) for job, cls, *rest in _grouped(latest, _HELD)]


def _grouped(rows: QuerySet[Any, dict[str, Any]], statement: str) -> list[tuple[Any, ...]]:
    """The first ``LOOKED_AT`` of some rows, grouped: the ORM groups nothing that it has cut off."""
    seen, params = rows[:LOOKED_AT].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(statement.format(seen=seen), params)
        return cursor.fetchall()


@dataclass(slots=True)
class ToolLoad:
    """One tool now: steps at work in all workers, and what the workers' limiters, the breakers and
    the retry budget say."""

    tool: str  # "<domain>/<tool>"
    running: int = 0
    in_use: int = 0
    limit: int = 0
    ceiling: int = 0
    waiting: int = 0
    drops: int = 0
    workers: int = 0
    breakers: list[str] = field(default_factory=list)
    tokens: float | None = None
    refused: int = 0

    @property
    def domain(self) -> str:
        return self.tool.partition("/")[0]

    @property
    def name(self) -> str:
        return self.tool.partition("/")[2]

    @property
    def is_held_down(self) -> bool:
        return self.limit < self.ceiling

    @property
    def is_troubled(self) -> bool:
        low = self.tokens is not None and self.tokens < CAPACITY
        return bool(self.is_held_down or self.breakers or low or self.waiting)


def tools() -> list[ToolLoad]:
    """Tools that are at work, or that something is the matter with; those first."""
    found: dict[str, ToolLoad] = {}

    def of(tool: str) -> ToolLoad:
        return found.setdefault(tool, ToolLoad(tool))

    for tool, running in _running():
        of(tool).running = running
    heard = Worker.objects.filter(seen_at__gt=Now() - SEEN_WITHIN).exclude(limits={})
    for worker in heard.order_by(F("stopping_at").asc(nulls_first=True)):
        told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for name, said in worker.limits.items():
            told[name.partition("@")[0]].append(said)
        for tool, some in told.items():
            _add(of(tool), some, ended=worker.stopping_at is not None)
    for breaker in Breaker.objects.exclude(state="closed"):
        of(breaker.tool_name).breakers.append(breaker.state)
    for budget in Budget.objects.filter(Q(tokens__lt=CAPACITY) | Q(tool_name__in=found)):
        one = of(budget.tool_name)
        one.tokens, one.refused = budget.tokens, budget.refused
    return sorted(found.values(), key=lambda t: (not t.is_troubled, t.tool))


def _add(tool: ToolLoad, told: list[dict[str, Any]], *, ended: bool) -> None:
    """What one worker told of a tool, job by job. What a work-horse that has ended told counts for
    its limit only, and only until another one has told something."""
    if ended and tool.workers:
        return
    tool.workers += 1
    for said in told:
        tool.limit += int(said["limit"])
        tool.ceiling += said["ceiling"]
        tool.drops += said["drops"]
        tool.in_use += 0 if ended else said["in_use"]
        tool.waiting += 0 if ended else said["waiting"]


def _running() -> list[tuple[str, int]]:
    tool = Concat("run__domain_slug", Value("/"), "tool_name")
    at_work = Step.objects.filter(state=State.RUNNING).annotate(tool=tool).order_by()
    return list(at_work.values_list("tool").annotate(n=Count("*")))


def parked() -> list[tuple[Any, ...]]:
    """What queued steps wait for besides a worker, most first, and how many."""
    queued = Step.objects.filter(state=State.QUEUED).order_by().values("waits_for")
    return _grouped(queued, _PARKED)


def caps() -> list[Cap]:
    """Every cap that is set."""
    return list(Cap.objects.order_by("scope", "key"))
