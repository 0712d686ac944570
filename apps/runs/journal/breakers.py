"""Circuit breakers, kept in the database so that all workers see the same ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.db import connection
from django.utils import timezone

from apps.audit.services import record
from apps.kernel.transactions import participant
from apps.runs.domain import breaker as rules
from apps.runs.models import Breaker

Call = tuple[str, bool, bool]  # "<domain>/<tool>", it failed, it timed out


@participant
def note(calls: Sequence[Call]) -> None:
    """Count how calls of tools ended. Rows are locked in order of name, so that two commits can't
    deadlock; where nothing failed and every breaker is closed, nothing is written."""
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, failed, timed_out in calls:
        counts = tally[name]
        counts[0] += not failed
        counts[1] += failed
        counts[2] += timed_out
    known = set(
        Breaker.objects.filter(tool_name__in=tally)
        .exclude(calls=0, state="closed")
        .values_list("tool_name", flat=True)
    )
    for name in sorted(n for n, c in tally.items() if c[1] or n in known):
        _note_one(name, *tally[name])


def _note_one(name: str, successes: int, failures: int, timeouts: int) -> None:
    Breaker.objects.bulk_create([Breaker(tool_name=name)], ignore_conflicts=True)
    row = Breaker.objects.select_for_update().get(tool_name=name)
    now = timezone.now()
    before = rules.Breaker(
        row.state,
        row.window_started_at,
        row.calls,
        row.failures,
        row.timeouts_in_a_row,
        row.open_until,
        row.reason,
    )
    after = rules.after(before, successes=successes, failures=failures, timeouts=timeouts, now=now)
    Breaker.objects.filter(pk=name).update(
        state=after.state,
        window_started_at=after.window_started_at,
        calls=after.calls,
        failures=after.failures,
        timeouts_in_a_row=after.timeouts_in_a_row,
        open_until=after.open_until,
        reason=after.reason,
        opened_at=now if after.state == "open" != before.state else row.opened_at,
    )
    if after.state != before.state:
        _tell(name, after.state, after.reason)


@participant
def half_open_due() -> int:
    """Let breakers whose waiting time is over try again. The database's clock decides."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_breaker SET state = 'half_open' WHERE state = 'open'"
            " AND open_until <= clock_timestamp() RETURNING tool_name"
        )
        names = [row[0] for row in cursor.fetchall()]
    for name in names:
        _tell(name, "half_open", "the waiting time is over")
    return len(names)


def _tell(name: str, state: str, reason: str) -> None:
    record(
        kind=f"breaker.{state}",
        actor="engine",
        subject_type="breaker",
        subject_id=name,
        payload={"reason": reason},
    )
