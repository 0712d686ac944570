"""The servers of a benchmark: one PostgreSQL for all, as durable as it ships, and a Valkey."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from controltower.launch import files
from controltower.launch.places import ROOT
from controltower.launch.postgres import OWNER, EmbeddedPostgres
from controltower.launch.valkey import EmbeddedValkey
from tests.benchmarks.usage import cpu_seconds

HOME = ROOT / "var" / "bench"
OUTPUT = ROOT / "var" / "bench.json"
# What the tower ships with: fsync, full_page_writes and synchronous_commit stay on.
SETTINGS = {"pg_stat_statements.max": "2000", "pg_stat_statements.track": "top"}


@dataclass
class Ground:
    """Both servers, made anew for each run of the benchmark."""

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @classmethod
    def open(cls, home: Path = HOME) -> Ground:
        files.private_dir(home)
        shutil.rmtree(home / "data", ignore_errors=True)
        data = files.private_dir(home / "data")
        postgres = EmbeddedPostgres(
            files.private_dir(data / "postgres"),
            run_dir=data / "s",
            password=secrets.token_urlsafe(24),
            owner_password=secrets.token_urlsafe(24),
            log=data / "postgres.log",
            settings=SETTINGS,
        )
        valkey = EmbeddedValkey(
            data / "valkey", password=secrets.token_urlsafe(24), log=data / "valkey.log"
        )
        made = cls(postgres, valkey)
        try:
            valkey.start()
            postgres.start()
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        self.postgres.stop()
        self.valkey.stop()

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A connection that may do everything, for checkpoints and statistics."""
        return psycopg.connect(
            host=str(files.socket_dir(self.postgres.run_dir)),
            port=self.postgres.port,
            user=OWNER,
            password=self.postgres.owner_password,
            dbname=database,
            autocommit=True,
        )

    def database(self, name: str) -> str:
        """URL of a database of this name, made anew, that belongs to the application's role."""
        role = sql.Identifier(self.postgres.role)
        with self.admin() as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(_id(name)))
            admin.execute(sql.SQL("create database {} owner {}").format(_id(name), role))
        return self.postgres.url.rpartition("/")[0] + f"/{name}"

    def checkpoint(self) -> None:
        """Let everybody start with the log written out, so that nobody pays for another."""
        with self.admin() as admin:
            admin.execute("checkpoint")

    def cpu_seconds(self) -> float:
        """Processor time of the database server so far, all its processes together."""
        return cpu_seconds(self.postgres.pid or 0)

    def settings(self) -> dict[str, str]:
        """The settings that decide how durable and how fast a commit is."""
        names = ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"]
        names += ["shared_buffers", "max_wal_size", "max_connections", "server_version"]
        with self.admin() as admin:
            return {n: str(_one(admin, f"show {n}")) for n in names}

    def commits(self, database: str) -> int:
        """Transactions committed in a database so far."""
        with self.admin() as admin:
            return int(
                _one(admin, "select xact_commit from pg_stat_database where datname = %s", database)
            )

    def statements(self, database: str) -> int:
        """Statements executed in a database so far, BEGIN and COMMIT included."""
        with self.admin(database) as admin:
            return int(
                _one(
                    admin,
                    "select coalesce(sum(calls), 0) from pg_stat_statements s"
                    " join pg_database d on d.oid = s.dbid where d.datname = %s",
                    database,
                )
            )


def environment(ground: Ground, *, database_url: str) -> dict[str, str]:
    """What our processes are told."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": ground.valkey.url,
        "DJANGO_SETTINGS_MODULE": "controltower.settings",
        "TOWER_ENV": "development",
        "TOWER_VAR": str(files.private_dir(HOME / "data" / "var")),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "TOWER_TOOL_SERVERS": '{"bench": "python:tests.benchmarks.tools"}',
        "TOWER_BENCH_WITNESS": str(HOME / "data" / "witness.jsonl"),
        "TOWER_LOG_LEVEL": "WARNING",
        # What one person or agent is kept to is not what is measured.
        "TOWER_QUESTIONS_PER_MINUTE": "100000",
        "TOWER_FORMS_PER_MINUTE": "100000",
        "PYTHONPATH": str(ROOT),
    }


def _id(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _one(connection: psycopg.Connection, statement: str, *parameters: object) -> object:
    row = connection.execute(statement, parameters).fetchone()  # type: ignore[arg-type]  # constant text
    return row[0] if row else None
