"""Child processes of a benchmark: our own ones, and those of the peers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from controltower.launch.places import ROOT
from controltower.launch.processes import spawn, tail
from tests.benchmarks.ground import HOME
from tests.benchmarks.usage import cpu_seconds

LOGS = HOME / "data" / "log"


class Crew:
    """Processes of the product; all are gone when the block ends."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + 5
        for process in self.processes:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def python(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        env = {**self.env, "TOWER_PROCESS": name}
        log = LOGS / f"{name}.log"
        process = spawn([sys.executable, *arguments], env=env, log=log, cwd=ROOT)
        self.processes.append(process)
        return process

    def worker(self, lane: str = "normal") -> subprocess.Popen[bytes]:
        return self.python(f"worker-{lane}", "manage.py", "worker", "--lane", lane)

    def sweeper(self) -> subprocess.Popen[bytes]:
        return self.python("sweeper", "manage.py", "sweep")

    def web(self, port: int) -> subprocess.Popen[bytes]:
        arguments = ["-m", "uvicorn", "controltower.asgi:application", "--host", "127.0.0.1"]
        arguments += ["--port", str(port), "--lifespan", "off", "--log-level", "warning"]
        return self.python("web", *arguments)


class Peer:
    """Some processes of a peer, prepared and waiting for the word."""

    def __init__(self, name: str, python: Path, arguments: Sequence[Sequence[str]]) -> None:
        script = Path(__file__).parent / "peers" / f"run_{name}.py"
        self.log = LOGS / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.processes: list[subprocess.Popen[str]] = []
        self.warm_up_steps = 0
        for given in arguments:
            with self.log.open("ab") as errors:
                child = subprocess.Popen(
                    [str(python), str(script), *given],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env={k: v for k, v in os.environ.items() if not k.startswith("DBOS")},
                )
            self.processes.append(child)
            # One after the other: the first makes the tables.
            self.warm_up_steps += int(json.loads(self._line(child))["ready"])

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        for child in self.processes:
            if child.stdin:
                child.stdin.close()
        for child in self.processes:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(child.pid) for child in self.processes)

    def go(self, runs: int) -> tuple[int, float]:
        """Do ``runs`` in all; steps that became durable, and the seconds until the last one was."""
        share = max(1, runs // len(self.processes))
        begun = time.perf_counter()
        for child in self.processes:
            assert child.stdin is not None
            child.stdin.write(json.dumps({"runs": share}) + "\n")
            child.stdin.flush()
        steps = sum(int(json.loads(self._line(child))["steps"]) for child in self.processes)
        return steps, time.perf_counter() - begun

    def _line(self, child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                return line.strip()
        raise RuntimeError(f"a peer ended: see {self.log}:\n{tail(self.log)}")
