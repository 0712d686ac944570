"""Servers in directories with short names, and processes that never outlive their test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres
from controltower.launch.valkey import EmbeddedValkey


@pytest.fixture
def var() -> Iterator[Path]:
    """An empty directory for a tower; its path is short, as sockets need."""
    path = Path(tempfile.mkdtemp(prefix="tower-launch-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def postgres(var: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL that synchronises like the product's does, but for the disk itself."""
    server = EmbeddedPostgres(
        var / "postgres",
        run_dir=var / "s",
        password="p@ss/word",
        owner_password="owner",
        log=var / "postgres.log",
        settings=DISPOSABLE,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(var: Path) -> Iterator[EmbeddedValkey]:
    """A running Valkey with its append-only file."""
    server = EmbeddedValkey(var / "valkey", password="secret", log=var / "valkey.log")
    server.start()
    yield server
    server.stop()
