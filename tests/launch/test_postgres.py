"""The embedded PostgreSQL keeps its data through every kind of end."""

from __future__ import annotations

import os
import signal
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from controltower.launch import ports
from controltower.launch.listening import Listener
from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres
from controltower.launch.processes import PortTakenError, StartError, occupants, wait_until


def write(server: EmbeddedPostgres, text: str) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table if not exists note (id serial, text text)")
        connection.execute("insert into note (text) values (%s)", [text])


def notes(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.url) as connection:
        return [row[0] for row in connection.execute("select text from note order by id")]


def test_role_owns_its_database_and_is_no_superuser(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        facts = connection.execute(
            "select current_user, current_database(), current_setting('is_superuser'),"
            " current_setting('data_checksums'), '[1,2]'::vector <-> '[1,3]'::vector"
        ).fetchone()

    assert facts == ("tower", "controltower", "off", "on", 1.0)


def test_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn(), password="guessed")


def test_socket_and_data_are_private(postgres: EmbeddedPostgres) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (postgres.run_dir, postgres.data_dir)}

    assert modes == {0o700}


def test_data_survives_stop_and_start(postgres: EmbeddedPostgres) -> None:
    write(postgres, "kept")

    postgres.stop()
    postgres.start()

    assert notes(postgres) == ["kept"]


def test_data_survives_a_killed_server(postgres: EmbeddedPostgres) -> None:
    write(postgres, "committed")
    open_connection = psycopg.connect(postgres.url)
    open_connection.execute("insert into note (text) values ('not committed')")

    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    assert wait_until(lambda: postgres.poll() is not None, timeout_seconds=5)
    postgres.start()
    open_connection.close()

    assert notes(postgres) == ["committed"]


def test_server_of_a_killed_tower_is_evicted(postgres: EmbeddedPostgres) -> None:
    write(postgres, "kept")
    orphan = postgres.process
    postgres.process = None  # as after a kill -9 of the supervisor: nobody knows it any more

    postgres.start()

    assert orphan is not None
    assert orphan.wait(5) is not None
    assert notes(postgres) == ["kept"]


def test_lock_file_that_names_another_process_does_not_block(postgres: EmbeddedPostgres) -> None:
    write(postgres, "kept")
    postgres.stop()
    # Number 1 always lives, as a zombie nobody reaps or a stranger's process would.
    (postgres.data_dir / "postmaster.pid").write_text(f"1\n{postgres.data_dir}\n")
    (postgres.run_dir / f".s.PGSQL.{postgres.port}.lock").write_text("1\n")

    postgres.start()

    assert notes(postgres) == ["kept"]


def test_interrupted_initdb_is_begun_again(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    fresh = postgres.data_dir.with_name("postgres.new")
    postgres.data_dir.rename(fresh)
    (fresh / "PG_VERSION").unlink()

    postgres.start()

    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_failed_start_says_why(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    postgres.settings["shared_preload_libraries"] = "no_such_library"

    with pytest.raises(StartError, match="no_such_library"):
        postgres.start()

    assert occupants(postgres.data_dir, executable="postgres") == []


def test_a_port_that_was_taken_meanwhile_is_told_apart(var: Path) -> None:
    with closing(Listener(ports.any_free())) as thief:
        server = EmbeddedPostgres(
            var / "postgres",
            run_dir=var / "s",
            password="p",
            owner_password="o",
            log=var / "postgres.log",
            port=thief.port,
            settings=DISPOSABLE,
        )
        with pytest.raises(PortTakenError, match=f"port {thief.port}"):
            server.start()
    server.start()
    server.stop()
