"""The processes that make up a running tower, in the order in which they are started."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from controltower.launch.listening import Listener
from controltower.launch.places import INSTANCE, ROOT, Places
from controltower.launch.supervisor import Program

SERVERS, TOOLS, WORK = 0, 1, 2
BARE = {
    INSTANCE,
    "HOME",
    "LANG",
    "PATH",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "TMPDIR",
    "TOWER_DATA",
    "TOWER_PACKS",
    "TOWER_VAR",
    "TZ",
}
LANES = ("urgent", "normal")
# A worker ends its lane's batch first; 25 s is what the engine promises.
GRACE_SECONDS = {"web": 8.0, "sweeper": 8.0, "desk": 8.0}
WORKER_GRACE_SECONDS = 27.0


def program(
    name: str,
    arguments: list[str],
    *,
    places: Places,
    env: Mapping[str, str],
    listener: Listener | None = None,
) -> Program:
    """One child of the supervisor, with a log of its own."""
    return Program(
        name=name,
        argv=[sys.executable, *arguments],
        env={**env, "TOWER_PROCESS": name},
        log=places.log(name),
        cwd=ROOT,
        listener=listener,
    )


def bare(env: Mapping[str, str]) -> dict[str, str]:
    """What a process may know that is not of the tower itself: no address, password or key."""
    return {name: value for name, value in env.items() if name in BARE or name.startswith("LC_")}


def tool_server(
    domain: str, *, places: Places, env: Mapping[str, str], listener: Listener
) -> Program:
    """A company's system of record, which answers only callers that bring the tower's secret."""
    arguments = ["-m", "controltower.practice.world", "--domain", domain]
    arguments += ["--fd", str(listener.descriptor)]
    arguments += ["--token-file", str(places.key("tools"))]
    arguments += ["--db", str(places.var / "world" / f"{domain}.sqlite")]
    arguments += ["--announce", str(places.run / f"world-{domain}.json")]
    return program(f"tools-{domain}", arguments, places=places, env=bare(env), listener=listener)


def web(*, places: Places, env: Mapping[str, str], listener: Listener) -> Program:
    """The site."""
    arguments = ["-m", "controltower.launch.site", "--fd", str(listener.descriptor)]
    return program("web", arguments, places=places, env=env, listener=listener)


def workers(*, places: Places, env: Mapping[str, str]) -> list[Program]:
    """One lane a worker: a worker on several queues can lose what it takes. The usual lane has
    two, so that one that is replaced leaves nobody waiting."""
    return [
        program(f"worker-{name}", ["manage.py", "worker", "--lane", lane], places=places, env=env)
        for name, lane in (*((lane, lane) for lane in LANES), ("normal-2", "normal"))
    ]


def command(name: str, *arguments: str, places: Places, env: Mapping[str, str]) -> Program:
    """A management command that runs for as long as the tower does."""
    return program(name, ["manage.py", *arguments], places=places, env=env)


def grace_seconds(name: str) -> float:
    """How long a process may take to end by itself."""
    return WORKER_GRACE_SECONDS if name.startswith("worker-") else GRACE_SECONDS.get(name, 5.0)
