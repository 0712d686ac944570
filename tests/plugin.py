"""Gives the tests a PostgreSQL and a Valkey of their own, started once for the whole run.

Loaded with `-p tests.plugin`, so it acts on import: before pytest-django reads the settings,
which is the only moment at which the environment still decides where the database is.
Parallel (xdist) processes inherit the environment and get a numbered Valkey database each.
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

from controltower.launch import files
from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres
from controltower.launch.valkey import EmbeddedValkey

_stop = contextlib.ExitStack()


def redis_url_for(url: str, *, worker: str) -> str:
    """The URL with the database number of this xdist process: `gw0` has 1, and so on."""
    base, _, _ = url.rpartition("/")
    return f"{base}/{int(worker.removeprefix('gw')) + 1}"


def start_services() -> None:
    """Start both servers in a temporary directory and name them in the environment."""
    root = Path(tempfile.mkdtemp(prefix="tower-test-"))
    _stop.callback(shutil.rmtree, root, ignore_errors=True)
    postgres = EmbeddedPostgres(
        files.private_dir(root / "pg"),
        run_dir=root / "s",
        password=secrets.token_urlsafe(24),
        owner_password=secrets.token_urlsafe(24),
        log=root / "postgres.log",
        settings=DISPOSABLE,
    )
    valkey = EmbeddedValkey(
        root / "valkey",
        password=secrets.token_urlsafe(24),
        log=root / "valkey.log",
        durable=False,
    )
    _stop.callback(postgres.stop)
    _stop.callback(valkey.stop)
    valkey.start()
    postgres.start()
    os.environ["DATABASE_URL"] = postgres.url
    os.environ["REDIS_URL"] = valkey.url
    os.environ["TOWER_VAR"] = str(files.private_dir(root / "var"))


def begin() -> None:
    """Prepare the environment of this process: the first one, or a parallel one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        os.environ["REDIS_URL"] = redis_url_for(os.environ["REDIS_URL"], worker=worker)
        return
    os.environ["TOWER_ENV"] = "test"
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    if os.environ.get("TOWER_TEST_EXTERNAL") == "1" and "DATABASE_URL" in os.environ:
        return
    # Also reached when pytest is stopped before it has configured itself.
    atexit.register(_stop.close)
    try:
        start_services()
    except BaseException:
        _stop.close()
        raise


def pytest_unconfigure() -> None:
    """Stop what this process started; parallel processes started nothing."""
    _stop.close()


begin()
