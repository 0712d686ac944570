"""The tower's own PostgreSQL, of an earlier release and of this one: the application adds to its
evidence and can't rewrite it, whatever statement it is made to say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from apps.audit import registry
from apps.audit.domain.guard import Guard
from controltower.launch.places import ROOT
from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres

ADD = (
    "INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, payload, hash)"
    " VALUES (clock_timestamp(), 'k', 'user:ida', 's', '1', '{}', '')"
)
REFUSED = (
    errors.InsufficientPrivilege,
    errors.UndefinedObject,
    errors.IntegrityConstraintViolation,
)


def manage(server: EmbeddedPostgres, *arguments: str, url: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """One whose application owned everything, then taken over as `make up` does it."""
    var = Path(tempfile.mkdtemp(prefix="tower-roles-"))
    server = EmbeddedPostgres(
        var / "postgres",
        run_dir=var / "s",
        password="p@ss/word",
        owner_password="owner's",
        log=var / "postgres.log",
        settings=DISPOSABLE,
    )
    server.start()
    try:
        assert manage(server, "migrate", url=server.url).startswith("0")
        with psycopg.connect(server.url) as connection:
            connection.execute(ADD)
        weak = manage(server, "database_role", "check", url=server.url)
        assert "1" in weak[:1]
        assert "owns " in weak
        for _ in range(2):  # each start does it
            server.take_from_the_application()
            role = {"TOWER_DATABASE_ROLE": server.role}
            assert manage(server, "migrate", url=server.owner_url, **role).startswith("0")
        yield server
    finally:
        server.stop()
        shutil.rmtree(var, ignore_errors=True)


def attempt(url: str, statement: str) -> bool:
    """Whether PostgreSQL let a role say it."""
    try:
        with psycopg.connect(url) as connection:
            connection.execute(statement)
    except REFUSED:
        return False
    return True


def test_the_command_finds_nothing_that_the_role_could_rewrite(server: EmbeddedPostgres) -> None:
    found = manage(server, "database_role", "check", url=server.url)

    assert found.startswith("0 The application's role can only add")


@pytest.mark.parametrize("guard", registry.guards(), ids=lambda guard: guard.table)
def test_the_role_takes_nothing_back(server: EmbeddedPostgres, guard: Guard) -> None:
    table = guard.table
    written = {"runs_receipt": "note", "audit_checkpoint": "count"}.get(table, "id")
    attacks = [
        f"ALTER TABLE {table} DISABLE TRIGGER USER",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"TRUNCATE {table} CASCADE",
        f"DROP TABLE {table} CASCADE",
        f"CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING",
        f"UPDATE {table} SET {written} = {written}",
        *([] if guard.deletes else [f"DELETE FROM {table}"]),
    ]

    assert [attack for attack in attacks if attempt(server.url, attack)] == []


def test_the_log_stays_as_it_was_whatever_the_role_tries(server: EmbeddedPostgres) -> None:
    attacks = (
        "UPDATE audit_event SET actor = 'user:eve'",
        "UPDATE audit_event SET payload = '{}'",
        "SET session_replication_role = replica",
        "SET ROLE postgres",
        "ALTER TABLE audit_event OWNER TO tower",
        "CREATE OR REPLACE FUNCTION audit_event_append_only() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'",
        "DROP FUNCTION tower_append_only() CASCADE",
        "CREATE TABLE audit_event_mine (LIKE audit_event)",
        "DELETE FROM django_migrations",
    )

    assert [attack for attack in attacks if attempt(server.url, attack)] == []


def test_the_role_does_the_product_s_work(server: EmbeddedPostgres) -> None:
    assert attempt(server.url, ADD)
    assert manage(server, "sweep", "--once", url=server.url).startswith("0")
    with psycopg.connect(server.url) as connection:
        rows = connection.execute("SELECT count(*), count(position) FROM audit_event").fetchone()
    assert rows is not None
    assert rows[0] == rows[1] > 1  # all of them are sealed

    # Sealed once; not again.
    assert not attempt(server.url, "UPDATE audit_event SET hash = 'x'")


def test_a_role_is_made_and_one_that_could_free_itself_is_refused(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("a long password of a test\n")
    grant = ("database_role", "grant")

    made = manage(server, *grant, "clerk", "--password-file", str(secret), url=server.owner_url)
    assert made.startswith("0 clerk may be")
    place = server.owner_url.rpartition("@")[2]
    clerk = f"postgres://clerk:a%20long%20password%20of%20a%20test@{place}"
    assert attempt(clerk, ADD)
    assert not attempt(clerk, "DELETE FROM audit_event")

    for role, why in (("postgres", "is a superuser"), ("nobody_here", "is not there")):
        assert why in manage(server, *grant, role, url=server.owner_url)
    secret.write_text("short")
    short = manage(server, *grant, "other", "--password-file", str(secret), url=server.owner_url)
    assert "holds fewer than 16 characters" in short


@pytest.mark.parametrize(
    ("give", "take_back", "named"),
    [
        (
            "ALTER SCHEMA public OWNER TO landlord",
            "ALTER SCHEMA public OWNER TO pg_database_owner",
            "owns the schema public",
        ),
        (
            "ALTER DATABASE {} OWNER TO landlord",
            "ALTER DATABASE {} OWNER TO {}",
            "owns the schema public",
        ),
        (
            "ALTER FUNCTION tower_append_only() OWNER TO landlord",
            "ALTER FUNCTION tower_append_only() OWNER TO {}",
            "owns the function tower_append_only",
        ),
    ],
    ids=["schema", "database", "function"],
)
def test_a_role_that_owns_what_stands_around_the_tables_is_refused(
    server: EmbeddedPostgres, give: str, take_back: str, named: str
) -> None:
    """It could drop them, and make others, or let the triggers do nothing."""
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("CREATE ROLE landlord LOGIN PASSWORD 'a long password of a test'")
        row = connection.execute(
            "SELECT quote_ident(d.datname), quote_ident(pg_get_userbyid(d.datdba)),"
            " quote_ident(pg_get_userbyid(p.proowner)) FROM pg_database d, pg_proc p"
            " WHERE d.datname = current_database() AND p.proname = 'tower_append_only'"
        ).fetchone()
        assert row is not None
        database, owner, of_function = row
        connection.execute(give.format(database))
    try:
        said = manage(server, "database_role", "grant", "landlord", url=server.owner_url)
        assert said.startswith("1")
        assert named in said
    finally:
        words = (database, owner) if "DATABASE" in take_back else (of_function,)
        with psycopg.connect(server.owner_url) as connection:
            connection.execute(take_back.format(*words))
            connection.execute("DROP ROLE landlord")
