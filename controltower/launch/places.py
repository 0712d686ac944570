"""Where the tower keeps its things on this machine, and what its processes are told."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from controltower.launch import files, ports
from controltower.launch.listening import Listener
from controltower.launch.ports import NoFreePortError

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = ("retail", "airline")
HANDED = ("web", *DOMAINS)
# Names one start of one tower: who answers with another one's is somebody else.
INSTANCE = "TOWER_INSTANCE"
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
    def tool_servers(self) -> Path:
        return self.run / "tool-servers.json"

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
        handle = self.path.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        # Only the holder writes; `make down` reads here whom to ask to stop.
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
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
    with (places.run / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def holder(places: Places) -> int:
    """The process that runs the tower of this `var`; 0 if nobody is sure."""
    try:
        pid = int((places.run / "lock").read_text())
        words = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return 0
    return pid if "controltower.launch" in " ".join(words) else 0


def first_ports(places: Places, environment: Mapping[str, str]) -> dict[str, int]:
    """Where to begin to look for each server's port: the one it had last time, or was told."""
    kept: dict[str, Any] = files.read_json(places.state).get("ports", {})
    if wanted := environment.get("TOWER_PORT"):
        if not (wanted.isascii() and wanted.isdigit() and 0 < int(wanted) < 65536):
            raise NoFreePortError(f"TOWER_PORT must be a port from 1 to 65535; is {wanted!r}.")
        kept = {**kept, "web": int(wanted)}
    return {name: int(kept.get(name, first)) for name, first in FIRST_PORTS.items()}


def hold_ports(first: Mapping[str, int]) -> dict[str, Listener]:
    """A port for each server that takes one which is open already."""
    held: dict[str, Listener] = {}
    for name in HANDED:
        held[name] = Listener(first[name])
    return held


def tool_addresses(
    places: Places, chosen: Mapping[str, int], environment: Mapping[str, str]
) -> dict[str, str]:
    """Variables that name the packs' tool servers beside those that the caller names, whose words
    win. They go into a file of ours, or, where the caller has one, beside it."""
    files.secret(places.key("tools"))
    entries = {
        name: {
            "url": f"http://{ports.LOOPBACK}:{chosen[name]}/mcp",
            "token_file": str(places.key("tools")),
        }
        for name in DOMAINS
    }
    if not (theirs := environment.get("TOWER_TOOL_SERVERS_FILE")):
        files.write_json(places.tool_servers, entries)
        return {"TOWER_TOOL_SERVERS_FILE": str(places.tool_servers)}
    named = files.read_json(Path(theirs))
    given = environment.get("TOWER_TOOL_SERVERS", "").strip() or "{}"
    try:
        said = json.loads(given)
    except ValueError:
        return {}  # told by whoever reads it
    if not isinstance(said, dict):
        return {}
    ours = {name: entry for name, entry in entries.items() if name not in named}
    return {"TOWER_TOOL_SERVERS": json.dumps(ours | said)}


def child_environment(
    places: Places, *, chosen: Mapping[str, int], database_url: str, redis_url: str
) -> dict[str, str]:
    """What every process of the tower is told; the caller's own variables win where they may."""
    origin = f"http://{ports.LOOPBACK}:{chosen['web']}"
    defaults = {
        "TOWER_ENV": "development",
        "TOWER_ORIGIN": origin,
        "TOWER_PACKS": str(places.var / "packs"),
    }
    told = {**defaults, **os.environ, **tool_addresses(places, chosen, os.environ)}
    told[INSTANCE] = secrets.token_hex(16)
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
