"""The product through PgBouncer in transaction mode, and the modes in which it says no."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from apps.kernel import databases
from apps.kernel.databases import Pooling, pooling
from apps.runs.models import Run
from controltower.launch import servers
from controltower.launch.places import ROOT
from tests import pooler
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script

# What was set for a connection by whoever had it before; the client's own words are left out.
CHANGED = """
SELECT name, setting FROM pg_settings WHERE source = 'session' AND setting <> reset_val
 AND name NOT IN ('TimeZone', 'application_name', 'client_encoding', 'DateStyle')
"""
LIMITED = "SELECT current_setting(name) FROM unnest(%s::text[]) AS name"


@pytest.fixture
def fresh() -> Iterator[dict[str, str]]:
    """An empty database on the tests' server."""
    at = databases.postgres(os.environ["DATABASE_URL"])
    name = f"pooled_{secrets.token_hex(4)}"
    with psycopg.connect(**at, autocommit=True) as owner:  # type: ignore[arg-type]
        owner.execute(f"CREATE DATABASE {name}")
        yield {**at, "dbname": name}
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(*arguments: str, url: str, pooler: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "TOWER_POOLER": pooler},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("mode", "drops", "found"),
    [
        ("transaction", False, Pooling.TRANSACTION),
        ("transaction", True, Pooling.TRANSACTION),
        ("session", False, Pooling.TRANSACTION),
        ("statement", False, Pooling.STATEMENT),
    ],
)
def test_a_pooler_is_noticed_and_refused_in_words(mode: str, drops: bool, found: Pooling) -> None:
    at = databases.postgres(os.environ["DATABASE_URL"])
    assert pooling(at) is Pooling.NONE
    with pooler.before(at, mode, drops=drops) as url:
        assert pooling(databases.postgres(url)) is found
        said = manage("check", "--database", "default", url=url)
        assert said.returncode == 1
        assert "PgBouncer" in said.stderr
        if found is Pooling.STATEMENT:
            assert "set pool_mode to transaction" in said.stderr
            with pytest.raises(servers.UnreachableError, match="pool_mode"):
                servers.pooler(url)
        else:
            assert "Set TOWER_POOLER=transaction" in said.stderr
            assert servers.pooler(url) == "transaction"
            assert (
                manage("check", "--database", "default", url=url, pooler="transaction").returncode
                == 0
            )


def test_migrations_give_the_role_the_limits_that_a_connection_cannot_bring(
    fresh: dict[str, str],
) -> None:
    with pooler.before(fresh, "transaction") as url:
        refused = manage("migrate", "audit", url=url)
        assert refused.returncode == 1
        assert "Set TOWER_POOLER=transaction" in refused.stderr
        done = manage("migrate", "audit", "0001", url=url, pooler="transaction")
        assert done.returncode == 0, done.stderr
        names = list(databases.LIMITS)
        for _ in range(5):
            with psycopg.connect(url) as connection:
                rows = connection.execute(LIMITED, [names]).fetchall()
            assert [row[0] for row in rows] == list(databases.LIMITS.values())
    with pooler.before(fresh, "transaction", drops=True) as url:
        # The role's own limits are not taken for the connection's.
        assert pooling(databases.postgres(url)) is Pooling.TRANSACTION


def test_runs_succeed_through_a_pooler(tower: Tower) -> None:
    place = urlsplit(tower.env["DATABASE_URL"])
    with pooler.before(databases.postgres(place.geturl()), "transaction", drops=True) as url:
        tower.env |= {"DATABASE_URL": url, "TOWER_POOLER": "transaction"}
        runs = tower.start([busy_script(2) for _ in range(20)])
        tower.spawn("sweep")
        tower.worker()
        tower.worker()
        tower.wait(runs, seconds=120)
        tower.stop()
        # What one process wants of its connection is nothing that the next borrower should have.
        for _ in range(5):
            with psycopg.connect(url) as connection:
                rows = connection.execute(CHANGED).fetchall()
            assert rows == []
    assert set(Run.objects.filter(id__in=runs).values_list("state", flat=True)) == {"succeeded"}
