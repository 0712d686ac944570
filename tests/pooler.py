"""A PgBouncer before a PostgreSQL, in any of its modes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from controltower.launch import ports


def binary() -> str:
    """PgBouncer; skips by name without one, or fails where ``TOWER_REQUIRE_PGBOUNCER=1``."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if found is None:
        if os.environ.get("TOWER_REQUIRE_PGBOUNCER") == "1":
            pytest.fail("No PgBouncer found, and TOWER_REQUIRE_PGBOUNCER=1 asks for one.")
        pytest.skip("no PgBouncer on this machine (apt-get install pgbouncer)")
    return found


@contextlib.contextmanager
def before(parameters: dict[str, str], mode: str, *, drops: bool = False) -> Iterator[str]:
    """The ``DATABASE_URL`` of the same database through a PgBouncer. ``drops``: it takes what a
    connection begins with and throws it away, instead of refusing it."""
    program, port = binary(), ports.any_free()
    # It runs as somebody else where we are root, and must be able to read its files.
    folder = Path(tempfile.mkdtemp(prefix="tower-pooler-"))
    folder.chmod(0o755)
    user, password, database = parameters["user"], parameters["password"], parameters["dbname"]
    (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
    (folder / "users.txt").chmod(0o644)
    config = folder / "pgbouncer.ini"
    place = f"host={parameters['host']} port={parameters['port']} dbname={database}"
    lines = [
        "[databases]",
        f"{database} = {place}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        f"auth_file = {folder / 'users.txt'}",
        f"pool_mode = {mode}",
        "default_pool_size = 3",
        "max_client_conn = 200",
        *(["user = nobody"] if os.geteuid() == 0 else []),
        *(["ignore_startup_parameters = options"] if drops else []),
    ]
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o644)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(config)], stdout=log, stderr=log)
    try:
        _wait(port, process, folder / "log")
        yield f"postgres://{user}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"PgBouncer did not start:\n{log.read_text()[-2000:]}")
