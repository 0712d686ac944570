"""What a tower of the released state knows of its duties moves with them, and a sweeper of the
release before may run beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.audit.domain.duty import Done, Duty
from apps.audit.models import DutyStanding
from apps.audit.services import leading
from apps.audit.services.performing import keep

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("runs", "0022_a_runs_context"), ("audit", "0006_subscriptions")]
# As the release before writes it.
OLD_KEEP = """
    INSERT INTO runs_duty AS d (name, words, every_s, ran_at, succeeded_at, failed_at, failures,
        error, took_ms, did, set_aside, aside)
    SELECT v.name, v.words, v.every_s, now.at, CASE WHEN v.error = '' THEN now.at END,
        CASE WHEN v.error <> '' THEN now.at END, (v.error <> '')::int, v.error, v.took_ms, v.did,
        v.set_aside, v.aside
    FROM unnest(%s::text[], %s::text[], %s::float8[], %s::text[], %s::float8[], %s::bigint[],
        %s::int[], %s::text[]) AS v(name, words, every_s, error, took_ms, did, set_aside, aside),
        (SELECT clock_timestamp() AS at) AS now
    ORDER BY v.name
    ON CONFLICT (name) DO UPDATE SET words = excluded.words, every_s = excluded.every_s,
        ran_at = excluded.ran_at,
        succeeded_at = coalesce(excluded.succeeded_at, d.succeeded_at),
        failed_at = coalesce(excluded.failed_at, d.failed_at),
        failures = CASE WHEN excluded.error = '' THEN 0 ELSE d.failures + 1 END,
        error = CASE WHEN excluded.error = '' THEN d.error ELSE excluded.error END,
        took_ms = excluded.took_ms, did = excluded.did, set_aside = excluded.set_aside,
        aside = excluded.aside
"""


def migrate(targets: Any = None) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


def old_keep(name: str, error: str) -> None:
    with connection.cursor() as cursor:
        values = [[name], ["words"], [5.0], [error], [1.5], [3], [0], [""]]
        cursor.execute(OLD_KEEP, values)


@pytest.fixture
def released() -> Iterator[None]:
    try:
        migrate(BEFORE)
        yield
    finally:
        migrate()


def test_duties_are_carried_over_and_older_sweepers_may_go_on(released: None) -> None:
    old_keep("sealed", "it failed")

    migrate()

    row = DutyStanding.objects.get(name="sealed")
    assert (row.failures, row.error, row.did, row.token) == (1, "it failed", 3, 0)
    old_keep("sealed", "again")
    old_keep("looked_up", "")
    row.refresh_from_db()
    assert (row.failures, row.error) == (2, "again")
    assert DutyStanding.objects.get(name="looked_up").first_at is not None
    term = leading.take("new")
    assert term is not None
    assert keep([Done(Duty("sealed", "words", int))], term)
    row.refresh_from_db()
    assert (row.failures, row.token) == (0, term.token)

    migrate(BEFORE)

    with connection.cursor() as cursor:
        cursor.execute("SELECT name, failures FROM runs_duty ORDER BY name")
        assert cursor.fetchall() == [("looked_up", 0), ("sealed", 0)]
    old_keep("sealed", "and again")
