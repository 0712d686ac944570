"""The supervisor restarts what crashes, stops in order, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from controltower.launch.processes import rotate, wait_until
from controltower.launch.supervisor import Backoff, Program, Supervisor

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(60)"
)
PARENT = """
import sys
from pathlib import Path
from controltower.launch.supervisor import Program, Supervisor
supervisor = Supervisor()
sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
child = Program("child", sleeper, {}, Path(sys.argv[1]))
supervisor.start(child, stage=0)
print(child.pid, flush=True)
supervisor.run()
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    started = Supervisor(backoff=Backoff(first_seconds=0.01, most_seconds=0.05))
    yield started
    started.stop()


def program(var: Path, name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code], dict(os.environ), var / f"{name}.log")


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_crashed_child_is_started_again(var: Path, supervisor: Supervisor) -> None:
    child = program(var, "child", SLEEPER)
    supervisor.start(child, stage=0)
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    supervisor.run(until=lambda: supervisor.watched[0].restarts == 1)

    assert child.pid != first
    assert child.poll() is None


def test_pause_doubles_up_to_the_most() -> None:
    backoff = Backoff(first_seconds=0.5, most_seconds=30)

    pauses = [backoff.pause(failures) for failures in (1, 2, 3, 7, 100)]

    assert pauses == [0.5, 1.0, 2.0, 30.0, 30.0]


def test_failing_child_is_announced_and_reported(var: Path) -> None:
    announced: list[str] = []
    reported: list[str] = []
    supervisor = Supervisor(
        announce=announced.append,
        report=lambda status: reported.extend(entry["state"] for entry in status),
        backoff=Backoff(first_seconds=30),
    )
    failing = program(var, "failing", "print('no such pack'); raise SystemExit(3)")
    supervisor.start(failing, stage=0)

    supervisor.run(until=lambda: bool(announced))
    supervisor.stop()

    assert announced == ["failing ended with exit code 3; again in 30.0 s (no such pack)"]
    assert reported[-1] == "restarting"


def test_stages_stop_in_reverse_and_deaf_children_are_killed(var: Path) -> None:
    announced: list[str] = []
    supervisor = Supervisor(announce=announced.append)
    server, deaf = program(var, "server", SLEEPER), program(var, "deaf", STUBBORN)
    supervisor.start(server, stage=0)
    supervisor.start(deaf, stage=1, grace_seconds=0.2)
    assert wait_until(lambda: b"deaf" in deaf.log.read_bytes(), timeout_seconds=10)

    supervisor.stop()

    assert announced == ["deaf did not stop in time and was killed"]
    assert deaf.poll() == -signal.SIGKILL
    assert server.poll() == -signal.SIGTERM


def test_children_die_with_a_killed_supervisor(var: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(var / "child.log")],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not is_gone(child)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert wait_until(lambda: is_gone(child), timeout_seconds=5)


def test_what_a_child_started_ends_with_it(var: Path, supervisor: Supervisor) -> None:
    code = (
        "import subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], start_new_session=True);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    child = program(var, "child", code)
    supervisor.start(child, stage=0)
    assert wait_until(lambda: child.log.read_text().endswith("\n"), timeout_seconds=10)
    grandchild = int(child.log.read_text())

    child.kill()

    assert wait_until(lambda: is_gone(grandchild), timeout_seconds=5)


def test_large_log_is_moved_aside_while_it_is_written(var: Path) -> None:
    log = var / "child.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        assert rotate(log, limit_bytes=20)
        writer.write(b"new\n")

    assert log.read_bytes() == b"new\n"
    assert (var / "child.log.1").read_bytes() == b"old\n" * 10
