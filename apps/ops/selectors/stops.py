"""What can be stopped, what a stop would hold, and how those fare whom it lets go on again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, QuerySet

from apps.catalog import selectors as catalog
from apps.catalog.selectors import pages as listed
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.runs.domain.barrier import STAGES, StopScope, next_stage
from apps.runs.domain.states import LIVE, UNDER_WAY
from apps.runs.models import PARKED_UNTIL, Step, Stop
from apps.runs.selectors.stops import what_words

HISTORY = 50


LOOK_BACK = timedelta(days=1)  # runs older than this before the stop aren't counted as let go on


@dataclass(frozen=True, slots=True)
class StopPreview:
    """What a stop would do if it were placed now."""

    scope: StopScope
    target: str
    under_way: int  # calls that will be finished and recorded
    will_wait: int  # queued steps that will wait
    held_already: int  # queued steps that another stop holds
    asked: int  # steps that wait for a person, and then for this
    runs: int  # runs of all of these
    undoing: int  # compensations that go on nevertheless

    @property
    def what(self) -> str:
        return what_words(self.scope, self.target)


@dataclass(frozen=True, slots=True)
class InForce:
    """A stop in force and what it holds."""

    stop: Stop
    under_way: int
    waiting: int
    ended_well: int  # of the steps that ended since the last stage
    ended_badly: int
    unknown: int

    @property
    def what(self) -> str:
        return what_words(StopScope(self.stop.scope), self.stop.target)

    @property
    def next_percent(self) -> int:
        return next_stage(self.stop.percent)

    @property
    def stages(self) -> Sequence[tuple[int, str]]:
        """The stages in order, each ``done``, ``now`` or ``later``."""
        return [(p, _when(p, self.stop.percent)) for p in STAGES if p < STAGES[-1]]

    @property
    def since(self) -> datetime:
        """Since when the steps that ended are counted."""
        return self.stop.stage_at or self.stop.placed_at


def _when(stage: int, percent: int) -> str:
    return "now" if stage == percent else "done" if stage < percent else "later"


def choices() -> list[tuple[str, str]]:
    """Everything that can be stopped, as ("<scope> <target>", its title)."""
    tools = [
        (f"tool {v.tool.domain.slug}/{v.tool.name}", str(v.document.get("title", "")))
        for v in listed.tools()
    ]
    agents = [(f"agent {v.agent.slug}", v.agent.name) for v in listed.agents()]
    jobs = [(f"job {row.job.slug}", row.job.name) for row in listed.jobs(size=500)[0]]
    return [*tools, *agents, *jobs]


def parse(what: str) -> tuple[StopScope, str]:
    """Scope and target from "<scope> <target>", or from a name that only one thing has. Raises
    ``InvalidInputError`` for what doesn't exist."""
    scope, _, target = _named(what.strip()).partition(" ")
    if scope == StopScope.EVERYTHING and not target:
        return StopScope.EVERYTHING, ""
    if scope not in set(StopScope) or not _exists(StopScope(scope), target.strip()):
        raise InvalidInputError(
            f"There is no “{what}”: choose a tool, an agent or a job from the list.", field="what"
        )
    return StopScope(scope), target.strip()


def _named(what: str) -> str:
    """The one choice that ``what`` names without its scope or domain; else ``what`` itself."""
    if not what or " " in what or what == StopScope.EVERYTHING:
        return what
    fits = [v for v, _ in choices() if what in (v.partition(" ")[2], v.rpartition("/")[2])]
    return fits[0] if len(fits) == 1 else what


def _exists(scope: StopScope, target: str) -> bool:
    try:
        if scope is StopScope.TOOL:
            domain, _, name = target.partition("/")
            catalog.get_tool(domain, name)
        elif scope is StopScope.JOB:
            catalog.get_job(target)
        else:
            return scope is StopScope.AGENT and target in catalog.agent_slugs()
    except NotFoundError:
        return False
    return True


def _steps(scope: StopScope, target: str) -> QuerySet[Step]:
    """The steps that a stop is about; as ``domain.barrier.holds``, for many at once."""
    if scope is StopScope.EVERYTHING:
        return Step.objects.all()
    if scope is StopScope.TOOL:
        domain, _, name = target.partition("/")
        return Step.objects.filter(tool_name=name, run__domain_slug=domain).exclude(kind="agent")
    field = "run__job_slug" if scope is StopScope.JOB else "run__agent_version__agent__slug"
    return Step.objects.filter(**{field: target})


def _touched(scope: StopScope) -> Q:
    """Which of these steps the stop holds: undoing goes on under a stop of an agent or a job."""
    spared = scope in {StopScope.AGENT, StopScope.JOB}
    return Q(compensates_id=None) if spared else Q()


def preview(scope: StopScope, target: str) -> StopPreview:
    """What would finish and what would wait, in one query over the open steps."""
    steps = _steps(scope, target).filter(state__in=LIVE)
    mine, queued = _touched(scope), Q(state="queued")
    parked = Q(not_before__gte=PARKED_UNTIL)
    found = steps.aggregate(
        under_way=Count("pk", filter=mine & Q(state="running")),
        will_wait=Count("pk", filter=mine & queued & ~parked),
        held_already=Count("pk", filter=mine & queued & parked),
        asked=Count("pk", filter=mine & Q(state="waiting_approval")),
        runs=Count("run_id", filter=mine, distinct=True),
        undoing=Count("pk", filter=~mine)
        if scope in {StopScope.AGENT, StopScope.JOB}
        else Count("pk") * 0,
    )
    return StopPreview(scope, target, **found)


def in_force() -> list[InForce]:
    """The stops in force, the widest first, with what each holds and how its runs fare."""
    rows = Stop.objects.filter(lifted_at=None)
    order = {s.value: n for n, s in enumerate(reversed(StopScope))}
    return [_figures(row) for row in sorted(rows, key=lambda r: (order[r.scope], r.placed_at))]


def one(stop_id: int) -> InForce | None:
    """A stop in force; ``None`` once it is lifted."""
    row = Stop.objects.filter(pk=stop_id, lifted_at=None).first()
    return _figures(row) if row else None


def _figures(stop: Stop) -> InForce:
    steps = _steps(StopScope(stop.scope), stop.target).filter(_touched(StopScope(stop.scope)))
    now = steps.filter(state__in=UNDER_WAY).aggregate(
        under_way=Count("pk", filter=Q(state="running")),
        waiting=Count("pk", filter=Q(state="queued", not_before__gte=PARKED_UNTIL)),
    )
    since = stop.stage_at or stop.placed_at
    ended = steps.filter(finished_at__gt=since, run__created_at__gt=stop.placed_at - LOOK_BACK)
    figures = ended.aggregate(
        ended_well=Count("pk", filter=Q(state__in=["succeeded", "compensated"])),
        ended_badly=Count("pk", filter=Q(state="failed")),
    )
    lost = steps.filter(state="confirmation_unknown", run__created_at__gt=since - LOOK_BACK)
    unknown = lost.filter(attempts__ended_at__gt=since).distinct().count()
    return InForce(stop, **now, **figures, unknown=unknown)


def history(limit: int = HISTORY) -> list[Stop]:
    """Stops that were lifted, the latest first."""
    rows = Stop.objects.filter(lifted_at__isnull=False).order_by("-lifted_at")[:limit]
    for row in rows:
        row.what = what_words(StopScope(row.scope), row.target)  # type: ignore[attr-defined]  # for the page
    return list(rows)
