"""One page's reads, each done at most once and only when a panel asks: a read that fails breaks
the panels that need it and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from apps.dashboards import selectors
from apps.dashboards.forms import Query
from apps.outcomes.domain.tally import Cell, Terms, tally, tally_by
from apps.outcomes.kpis import Human, Numbers
from apps.outcomes.selectors import outcomes
from apps.outcomes.selectors.outcomes import Counts, DurationSeries, RunsInScope, StandingNow


class ChartReading:
    """What the runs of a query came to."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.scope: RunsInScope = query.scope()

    @cached_property
    def counts(self) -> Counts:
        return outcomes.counts(self.scope, self.query.width)

    @property
    def cells(self) -> list[Cell]:
        """The cohort by kind: everything but the moment."""
        return self.counts.by_kind

    @cached_property
    def starts(self) -> list[datetime]:
        return list(outcomes.buckets(self.scope, self.query.width))

    @cached_property
    def durations(self) -> DurationSeries:
        return outcomes.durations(self.scope, self.query.width, self.query.by)

    @cached_property
    def terms(self) -> dict[int, Terms]:
        return outcomes.terms({cell.contract_version_id for cell in self.cells})

    @cached_property
    def human(self) -> Human:
        return selectors.human(self.scope)

    @cached_property
    def rules(self) -> list[selectors.RuleCount]:
        return selectors.rules(self.scope)

    @cached_property
    def publications(self) -> list[selectors.Publication]:
        return selectors.publications(self.scope)

    @cached_property
    def job_names(self) -> dict[str, str]:
        """What charts call a job: two of one name are told apart by their domain."""
        jobs = selectors.jobs()
        often = Counter(job.name for job in jobs.values())
        return {
            slug: f"{job.name} ({job.domain})" if often[job.name] > 1 else job.name
            for slug, job in jobs.items()
        }

    @cached_property
    def standing(self) -> StandingNow:
        return outcomes.standing(self.scope)

    @cached_property
    def numbers(self) -> Numbers:
        """Everything tiles are made of."""
        by_bucket = tally_by(self.counts.by_bucket, lambda cell: cell.bucket)
        times = self.durations.by_bucket
        return Numbers(
            all=tally(self.cells),
            buckets=[by_bucket.get(at) or tally(()) for at in self.starts],
            times=self.durations,
            bucket_times=[times[at].p95 if at in times else None for at in self.starts],
            terms=self.terms,
            human=self.human,
            waiting_now=self.standing.by_state.get("waiting_approval", 0),
            waiting_s=_age(self.query.now, self.standing.oldest_waiting),
            unknown_now=self.standing.by_state.get("confirmation_unknown", 0),
            unknown_s=_age(self.query.now, self.standing.oldest_unknown),
        )

    @cached_property
    def before(self) -> Numbers:
        """The same numbers of the stretch just before; what stands now has no before."""
        scope = self.query.previous()
        cells = outcomes.counts(scope, self.query.width).by_kind
        return Numbers(
            all=tally(cells),
            buckets=(),
            times=outcomes.durations(scope, self.query.width, self.query.by),
            bucket_times=(),
            terms=outcomes.terms({cell.contract_version_id for cell in cells}),
            human=selectors.human(scope),
        )

    def is_filling(self, starts: Sequence[datetime]) -> list[bool]:
        """Which buckets aren't over yet."""
        return [at + self.query.width > self.query.now for at in starts]


def _age(now: datetime, since: datetime | None) -> float | None:
    return max((now - since).total_seconds(), 0) if since else None
