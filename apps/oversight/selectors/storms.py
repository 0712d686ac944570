"""Jobs that ask too much at once: which do, and what waits of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.oversight.domain.storms import MOST, SOON, WITHIN, StormKey
from apps.oversight.models import Approval
from apps.oversight.selectors import Filters, filtered
from apps.oversight.selectors.scopes import is_called

RISKS = (4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Storm:
    """One row that stands for many requests. ``by_risk``: how many of each risk there are, the
    gravest first; ``soon``: how many are due within a quarter of an hour; ``called``: about how
    many people of the reader's role were called."""

    key: StormKey
    total: int = 0
    by_risk: tuple[tuple[int, int], ...] = ()
    overdue: int = 0
    soon: int = 0
    called: int = 0
    next_due: datetime | None = None
    latest: datetime | None = None

    @property
    def worst(self) -> int:
        """The highest risk among them."""
        return self.by_risk[0][0] if self.by_risk else 1


def storms(filters: Filters, user: User) -> list[Storm]:
    """The storms among the waiting requests that fit the filters, the one that is due first at the
    top; none in one that is opened."""
    if filters.tab != "waiting" or filters.storm:
        return []
    rows = filtered(filters, user)
    keys = _keys(rows)
    if not keys:
        return []
    found = rows.filter(these(keys)).values("job_slug").annotate(**_figures(user))
    since = {key.job: key for key in keys}
    told = [_storm(since[row["job_slug"]], row) for row in found]
    return sorted(told, key=lambda storm: (storm.next_due is None, storm.next_due, storm.key.job))


def one(filters: Filters, user: User) -> Storm | None:
    """How the storm that the filters open stands now; nothing if they open none."""
    if filters.storm is None:
        return None
    return _storm(filters.storm, filtered(filters, user).aggregate(**_figures(user)))


def these(keys: Sequence[StormKey]) -> Q:
    """The requests that stand in the rows of these storms."""
    found = Q()
    for key in keys:
        found |= Q(job_slug=key.job, created_at__gte=key.since)
    return found


def _keys(rows: QuerySet[Approval]) -> list[StormKey]:
    """A request begins one where the request that many places after it, of its job, was asked
    within the time. One query, whatever waits; jobs are told apart by their bytes, which takes two
    thirds of the time of a language's order."""
    asked, params = rows.order_by().values_list("job_slug", "created_at").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT job, min(asked) FROM (
              SELECT job, asked,
                lead(asked, %s) OVER (PARTITION BY job COLLATE "C" ORDER BY asked) AS reached
              FROM ({asked}) AS waiting(job, asked)
            ) AS timed WHERE reached <= asked + %s GROUP BY job
            """,  # noqa: S608  # the ORM's own SQL
            [MOST, *params, WITHIN],
        )
        return [StormKey(job, since) for job, since in cursor.fetchall()]


def _figures(user: User) -> dict[str, Any]:
    overdue = Q(expires_at__lte=Now())
    return {
        "total": Count("pk"),
        "overdue": Count("pk", filter=overdue),
        "soon": Count("pk", filter=~overdue & Q(expires_at__lte=Now() + SOON)),
        "called": Count("pk", filter=is_called(user)),
        "next_due": Min("expires_at"),
        "latest": Max("created_at"),
        **{f"risk{n}": Count("pk", filter=Q(risk=n)) for n in RISKS},
    }


def _storm(key: StormKey, found: dict[str, Any]) -> Storm:
    names = ("total", "overdue", "soon", "called", "next_due", "latest")
    by_risk = tuple((n, found[f"risk{n}"]) for n in RISKS if found[f"risk{n}"])
    return Storm(key, by_risk=by_risk, **{name: found[name] for name in names})
