"""Gives the tests a PostgreSQL and a Valkey of their own, started once for the whole run.

Loaded with `-p tests.plugin`, so it acts on import: before pytest-django reads the settings,
which is the only moment at which the environment still decides where the database is.
Parallel (xdist) processes share the PostgreSQL, in which pytest-django makes a database for each
(what the product uses of a server, locks and notices included, is a database's own). A Valkey
each has for itself: tests wipe it. Of what runs side by side, see `tests/sharing.py`.
A database of the caller's is used only when `TOWER_TEST_EXTERNAL=1` says so: a server that
happens to be installed must not hide that the embedded one is broken.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from controltower.launch import files
from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres
from controltower.launch.valkey import EmbeddedValkey
from tests.sharing import TRIES_MORE, Sharing, is_real, rank, unit_of

# For several processes side by side, each with a tower of some ten processes before it.
CONNECTIONS = 300
_stop = contextlib.ExitStack()


def temporary_root() -> Path:
    """A directory of this process that goes when it ends."""
    root = Path(tempfile.mkdtemp(prefix="tower-test-"))
    _stop.callback(shutil.rmtree, root, ignore_errors=True)
    # Also reached when pytest is stopped before it has configured itself.
    atexit.register(_stop.close)
    return root


def start_postgres(root: Path) -> None:
    """Start the one PostgreSQL and name it in the environment."""
    server = EmbeddedPostgres(
        files.private_dir(root / "pg"),
        run_dir=root / "s",
        password=secrets.token_urlsafe(24),
        owner_password=secrets.token_urlsafe(24),
        log=root / "postgres.log",
        settings=DISPOSABLE,
        max_connections=CONNECTIONS,
    )
    _stop.callback(server.stop)
    server.start()
    os.environ["DATABASE_URL"] = server.url


def start_valkey(root: Path) -> None:
    """Start a Valkey for this process and those it starts, and name it in the environment."""
    server = EmbeddedValkey(
        root / "valkey",
        password=secrets.token_urlsafe(24),
        log=root / "valkey.log",
        durable=False,
    )
    _stop.callback(server.stop)
    server.start()
    os.environ["REDIS_URL"] = server.url


def begin() -> None:
    """Prepare the environment of this process: the first one, or a parallel one."""
    is_first = "PYTEST_XDIST_WORKER" not in os.environ
    root = temporary_root()
    os.environ["TOWER_VAR"] = str(files.private_dir(root / "var"))
    external = os.environ.get("TOWER_TEST_EXTERNAL") == "1" and "DATABASE_URL" in os.environ
    if is_first:
        os.environ["TOWER_ENV"] = "test"
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    try:
        if not (external and is_first):
            start_valkey(root)
        if not external and is_first:
            start_postgres(root)
    except BaseException:
        _stop.close()
        raise


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Deal out tests as :mod:`tests.sharing` says, whatever ``--dist`` says."""
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, what takes longest comes first; alone, the order is that of the files."""
    for item in items:
        if is_real(item.nodeid):
            item.add_marker(pytest.mark.flaky(reruns=TRIES_MORE))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: rank(unit_of(item.nodeid)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What a test of hostile text logged may hold halves of surrogate pairs, which the channel
    between the processes can't carry: it would end the process and with it the whole run."""
    report.sections = [(name, _carried(text)) for name, text in report.sections]
    if report.longrepr and not str(report.longrepr).isascii():
        text = str(report.longrepr)
        if _carried(text) != text:
            report.longrepr = _carried(text)


def _carried(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def pytest_unconfigure() -> None:
    """Stop what this process started; the first one ends last."""
    _stop.close()


begin()
