"""The SQLite file of one service: changed entities, answered keys, and the ledger of effects.

All three are written in one transaction per effect, so after ``kill -9`` either the whole effect is
there or none of it. The file is in WAL mode with ``synchronous=NORMAL``: a killed process loses
nothing, a power cut may lose the last moments. A lock file keeps a second process out, because the
worlds are cached in memory; the kernel drops the lock with its owner.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controltower.practice.world.errors import WorldError
from controltower.practice.world.state import Entity

SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entity (
    world TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (world, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered (
    world TEXT NOT NULL, key TEXT NOT NULL, tool TEXT NOT NULL, args_digest TEXT NOT NULL,
    result TEXT NOT NULL, at TEXT NOT NULL, run TEXT,
    PRIMARY KEY (world, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, world TEXT NOT NULL, key TEXT, tool TEXT NOT NULL,
    args_digest TEXT NOT NULL, at TEXT NOT NULL, run TEXT
);
CREATE INDEX IF NOT EXISTS ledger_by_world ON ledger (world, seq);
CREATE TRIGGER IF NOT EXISTS ledger_keeps_rows BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_keeps_words BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Effect:
    """A ledger entry: something that happened in a world."""

    world: str
    key: str | None
    tool: str
    args_digest: str
    at: str
    run: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a key has been answered with."""

    tool: str
    args_digest: str
    result: Any
    at: str


class Storage:
    """One service's file. Not for use by several threads at once."""

    def __init__(self, path: Path, domain: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(path.with_name(path.name + ".lock"))
        _make_private(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO about VALUES ('domain', ?)", (domain,))
        (owner,) = self._db.execute("SELECT value FROM about WHERE name = 'domain'").fetchone()
        if owner != domain:
            self.close()
            raise WorldError(f"{path} holds the worlds of {owner!r}, not of {domain!r}")

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._db.close()
        self._lock.close()

    def entities(self, world: str) -> Iterator[tuple[str, str, Entity]]:
        """Yield what a world has changed: table, id, entity."""
        rows = self._db.execute("SELECT kind, id, body FROM entity WHERE world = ?", (world,))
        for kind, key, body in rows:
            yield kind, key, json.loads(body)

    def answered(self, world: str, key: str) -> Answered | None:
        """Return what a key was answered with, if it was."""
        row = self._db.execute(
            "SELECT tool, args_digest, result, at FROM answered WHERE world = ? AND key = ?",
            (world, key),
        ).fetchone()
        return None if row is None else Answered(row[0], row[1], json.loads(row[2]), row[3])

    def record(self, effect: Effect, result: Any, touched: list[tuple[str, str, Entity]]) -> None:
        """Write entities, answer and ledger entry, all or none."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?)",
                [(effect.world, kind, key, _json(entity)) for kind, key, entity in touched],
            )
            if effect.key is not None:
                self._db.execute(
                    "INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        effect.world,
                        effect.key,
                        effect.tool,
                        effect.args_digest,
                        _json(result),
                        effect.at,
                        effect.run,
                    ),
                )
            self._append(effect)

    def reset(self, effect: Effect) -> None:
        """Forget a world's changes and keys; the ledger keeps its past and notes the reset."""
        with self._transaction():
            self._db.execute("DELETE FROM entity WHERE world = ?", (effect.world,))
            self._db.execute("DELETE FROM answered WHERE world = ?", (effect.world,))
            self._append(effect)

    def ledger(self, world: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Return entries after a sequence number, oldest first, of one world or of all."""
        cursor = self._db.execute(
            "SELECT seq, world, key, tool, args_digest, at, run FROM ledger"
            " WHERE seq > ? AND (? IS NULL OR world = ?) ORDER BY seq LIMIT ?",
            (after, world, world, limit),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _append(self, effect: Effect) -> None:
        self._db.execute(
            "INSERT INTO ledger (world, key, tool, args_digest, at, run) VALUES (?, ?, ?, ?, ?, ?)",
            (effect.world, effect.key, effect.tool, effect.args_digest, effect.at, effect.run),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _make_private(path: Path) -> None:
    """Readable by its owner alone, also where it was made before; SQLite gives its neighbours
    (``-wal``, ``-shm``) the same rights."""
    path.touch(mode=0o600)
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        file.chmod(0o600)


def _locked(path: Path) -> IO[bytes]:
    path.touch(mode=0o600)
    path.chmod(0o600)
    handle = path.open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise WorldError(f"{path.name} is held: another process serves this file") from error
    return handle
