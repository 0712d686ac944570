"""Keeps the tower's processes alive, in order, and leaves none behind.

A crashed child is started again after a growing pause; a child that then stays up is forgiven.
Stages come down in the reverse of the order in which they came up, so the database is the last
to go. When the supervisor itself is killed, the kernel ends the children (see `processes`).
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from controltower.launch.listening import Listener
from controltower.launch.processes import StartError, kill_tree, rotate, spawn, tail, wait_gone

TICK_SECONDS = 0.2
# After so many in a row the log says it better than the screen.
ANNOUNCED_FAILURES = 3


class Service(Protocol):
    """Something that can be started, watched and stopped."""

    name: str
    log: Path

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a crashed child is started again."""

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    forgiven_after_seconds: float = 60.0

    def pause(self, failures: int) -> float:
        """Doubles with each failure in a row, up to the most."""
        doublings = max(0, min(failures - 1, 16))
        return float(min(self.most_seconds, self.first_seconds * 2**doublings))


@dataclass
class Program:
    """A service that is one command."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path | None = None
    listener: Listener | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Start the command, which inherits its listening socket; raises `StartError` when it
        cannot be executed."""
        handed = () if self.listener is None else (self.listener.descriptor,)
        try:
            self.process = spawn(
                self.argv, env=self.env, log=self.log, cwd=self.cwd, pass_fds=handed
            )
            if self.listener is not None:
                self.listener.open()
        except OSError as error:
            raise StartError(f"{self.name} could not be started: {error}") from error

    def poll(self) -> int | None:
        """The exit code once the command has ended, None while it runs."""
        return None if self.process is None else self.process.poll()

    def terminate(self) -> None:
        """Ask it to finish what it holds and end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and everything it started; who calls its port is turned away from now on."""
        if self.listener is not None:
            self.listener.rest()
        if self.process is not None:
            kill_tree(self.process.pid)
            wait_gone(self.process, timeout_seconds=5)


@dataclass
class Watched:
    """What the supervisor knows of one service."""

    service: Service
    stage: int
    grace_seconds: float
    started_at: float = 0.0
    failures: int = 0
    restarts: int = 0
    due_at: float | None = None
    problem: str = ""
    since: int = 0  # by the clock on the wall, for people

    def status(self) -> dict[str, Any]:
        waiting = self.due_at is not None
        return {
            "name": self.service.name,
            "pid": None if waiting else self.service.pid,
            "state": "restarting" if waiting else "running",
            "restarts": self.restarts,
            "since": self.since,
            "problem": self.problem,
            "log": str(self.service.log),
        }


@dataclass
class Supervisor:
    """Starts services in stages, restarts those that crash, stops them in reverse."""

    report: Callable[[list[dict[str, Any]]], None] = lambda status: None
    announce: Callable[[str], None] = lambda line: None
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], float] = time.monotonic
    stopping: bool = False
    watched: list[Watched] = field(default_factory=list)
    _reported: list[dict[str, Any]] = field(default_factory=list)

    def start(self, service: Service, *, stage: int, grace_seconds: float = 10) -> None:
        """Start a service and watch it from now on; raises `StartError` if it does not come up."""
        watched = Watched(service, stage, grace_seconds)
        # Listed first: a service that fails half way is stopped with the others.
        self.watched.append(watched)
        service.start()
        watched.started_at, watched.since = self.clock(), int(time.time())

    def forget(self, service: Service) -> None:
        """Watch a service no more that did not come up; another one is started in its place."""
        self.watched = [watched for watched in self.watched if watched.service is not service]

    def request_stop(self, signum: int = 0, frame: object = None) -> None:
        """Signal handler: only a flag, the loop does the work."""
        self.stopping = True

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Watch until the condition holds or a stop was requested."""
        while not self.stopping and not until():
            self.tick()
            time.sleep(TICK_SECONDS)

    def tick(self) -> None:
        """Look at every service once: note crashes, start what is due, trim logs."""
        now = self.clock()
        for watched in self.watched:
            if watched.due_at is not None:
                if watched.due_at <= now:
                    self._restart(watched)
            elif (code := watched.service.poll()) is not None:
                self._note_crash(watched, f"ended with {_ending(code)}")
            rotate(watched.service.log)
        self._report_changes()

    def stop(self) -> None:
        """Stop everything, the last stage first; kills what overstays its grace."""
        for stage in sorted({watched.stage for watched in self.watched}, reverse=True):
            group = [watched for watched in self.watched if watched.stage == stage]
            for watched in group:
                watched.service.terminate()
            for watched in group:
                self._see_off(watched)
        self.watched.clear()

    def _see_off(self, watched: Watched) -> None:
        deadline = self.clock() + watched.grace_seconds
        while watched.service.pid is not None and watched.service.poll() is None:
            if self.clock() > deadline:
                self.announce(f"{watched.service.name} did not stop in time and was killed")
                break
            time.sleep(0.03)
        watched.service.kill()

    def _note_crash(self, watched: Watched, problem: str) -> None:
        now = self.clock()
        # What the crashed process started must not run beside its successor.
        watched.service.kill()
        if now - watched.started_at > self.backoff.forgiven_after_seconds:
            watched.failures = 0
        watched.failures += 1
        watched.problem = problem
        pause = self.backoff.pause(watched.failures)
        watched.due_at = now + pause
        if watched.failures <= ANNOUNCED_FAILURES:
            last = tail(watched.service.log, lines=1)
            self.announce(f"{watched.service.name} {problem}; again in {pause:.1f} s ({last})")
        elif watched.failures == ANNOUNCED_FAILURES + 1:
            self.announce(f"{watched.service.name} keeps failing; see {watched.service.log}")

    def _restart(self, watched: Watched) -> None:
        watched.due_at = None
        watched.restarts += 1
        watched.started_at, watched.since = self.clock(), int(time.time())
        try:
            watched.service.start()
        except StartError as error:
            self._note_crash(watched, str(error).splitlines()[0])

    def _report_changes(self) -> None:
        status = [watched.status() for watched in self.watched]
        if status != self._reported:
            self._reported = status
            self.report(status)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
