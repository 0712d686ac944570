"""Where the tower keeps its things on this machine, and what its processes are told."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controltower.launch import files, ports

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = ("retail", "airline")
FIRST_PORTS: Mapping[str, int] = {
    "web": 8000,
    "postgres": 55432,
    "valkey": 56379,
    "retail": 8101,
    "airline": 8102,
    "model": 8110,
}


@dataclass(frozen=True)
class Places:
    """The files and directories of one tower, all below one directory."""

    var: Path

    @classmethod
    def from_environment(cls) -> Places:
        named = os.environ.get("TOWER_VAR")
        return cls((Path(named) if named else ROOT / "var").absolute())

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    @property
    def status(self) -> Path:
        return self.run / "status.json"

    @property
    def environment(self) -> Path:
        return self.run / "environment.json"

    @property
    def first_start(self) -> Path:
        return self.var / "first-start.json"

    @property
    def logins(self) -> Path:
        return self.var / "logins.txt"

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def valkey(self) -> Path:
        return self.var / "valkey"

    def log(self, name: str) -> Path:
        return self.var / "log" / f"{name}.log"

    def key(self, name: str) -> Path:
        return self.var / f"{name}.key"


class Lock:
    """Held by the one supervisor of a `var`; the kernel frees it however that process ends."""

    def __init__(self, places: Places) -> None:
        self.path = places.run / "lock"
        self._handle: IO[str] | None = None

    def acquire(self) -> bool:
        """Whether this process now holds the lock."""
        files.private_dir(self.path.parent)
        handle = self.path.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def is_running(places: Places) -> bool:
    """Whether a supervisor holds this `var` now."""
    if not places.run.exists():
        return False
    lock = Lock(places)
    if not lock.acquire():
        return True
    lock.release()
    return False


def choose_ports(places: Places, environment: Mapping[str, str]) -> dict[str, int]:
    """A free port for each server: the one it had last time if that is free, else the next."""
    kept: dict[str, Any] = files.read_json(places.state).get("ports", {})
    if wanted := environment.get("TOWER_PORT"):
        kept = {**kept, "web": int(wanted)}
    chosen: dict[str, int] = {}
    for name, first in FIRST_PORTS.items():
        chosen[name] = ports.next_free(int(kept.get(name, first)), taken=set(chosen.values()))
    return chosen


def child_environment(
    places: Places, *, chosen: Mapping[str, int], database_url: str, redis_url: str
) -> dict[str, str]:
    """What every process of the tower is told; the caller's own variables win where they may."""
    origin = f"http://{ports.LOOPBACK}:{chosen['web']}"
    servers = {name: f"http://{ports.LOOPBACK}:{chosen[name]}/mcp" for name in DOMAINS}
    defaults = {
        "TOWER_ENV": "development",
        "TOWER_ORIGIN": origin,
        "TOWER_TOOL_SERVERS": json.dumps(servers),
        "TOWER_PACKS": str(places.var / "packs"),
    }
    told = {**defaults, **os.environ}
    if not told.get("SECRET_KEY") and not told.get("SECRET_KEY_FILE"):
        files.secret(places.key("secret"), bytes_of_entropy=48)
        told["SECRET_KEY_FILE"] = str(places.key("secret"))
    told |= {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TOWER_VAR": str(places.var),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "controltower.settings",
    }
    return told
