"""Conditions of the database by which runs are counted, made from the table in
``domain.counting``."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import (
    Aggregate,
    BooleanField,
    Case,
    Count,
    ExpressionWrapper,
    F,
    FloatField,
    Q,
    When,
)

from apps.outcomes.domain.counting import BY_OUTCOME, BY_STATE, FINISHED, TIMED, CountsAs
from apps.runs.domain.results import RunSource


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont."""

    name = "percentile"
    function = "percentile_cont"
    template = "percentile_cont(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: Any, fraction: float, **extra: Any) -> None:
        super().__init__(expression, fraction=float(fraction), **extra)


def counted_as(*kinds: CountsAs) -> Q:
    """Runs that count as one of these; none of them: no run."""
    whole = [state for state, kind in BY_STATE.items() if kind in kinds]
    apart = Q(state__in=whole)
    for (state, outcome), kind in BY_OUTCOME.items():
        if state in whole and kind not in kinds:
            apart &= ~Q(state=state, outcome=outcome)
    added = [Q(state=s, outcome=o) for (s, o), kind in BY_OUTCOME.items() if kind in kinds]
    return reduce(or_, added, apart)


def sums() -> dict[str, Count]:
    """What a group of runs is counted by: the fields of a tally."""
    return {
        "runs": Count("pk"),
        "finished": Count("pk", filter=counted_as(*FINISHED)),
        "succeeded": Count("pk", filter=counted_as(CountsAs.SUCCESS)),
        "handed_over": Count("pk", filter=counted_as(CountsAs.HANDED_OVER)),
        "cancelled": Count("pk", filter=counted_as(CountsAs.CANCELLED)),
    }


def timed() -> Q:
    """Runs whose duration says how long a customer waited for an outcome."""
    return Q(state__in=TIMED) & counted_as(*FINISHED)


def by_outcome() -> ExpressionWrapper:
    """Whether a run's outcome decides what the run counts as, since its state doesn't."""
    pairs = [Q(state=state, outcome=told) for state, told in BY_OUTCOME]
    return ExpressionWrapper(reduce(or_, pairs), output_field=BooleanField())


def shown() -> Case:
    """The word under which charts count a run: its state, or its outcome where that decides."""
    return Case(When(by_outcome(), then=F("outcome")), default=F("state"))


def not_forked() -> Q:
    """Runs that KPIs count: forks were made to try something (decision record 0021)."""
    return ~Q(source=RunSource.FORK)
