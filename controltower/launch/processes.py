"""Child processes that die with their parent, and the ones a killed parent left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

PR_SET_PDEATHSIG = 1
LOG_BYTES = 5_000_000
# Ten towers that start at once on two cores need this long; one that ended is noticed at once.
READY_SECONDS = 300
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(RuntimeError):
    """A server did not come up; the message says why and where its log is."""


class PortTakenError(StartError):
    """A server could not have its port: another program took it first. Choose the next one."""


def die_with_parent(death_signal: int) -> Callable[[], None] | None:
    """A `preexec_fn` after which the kernel signals the child when its parent is gone.

    The parent is the *thread* that forked, so spawn from a thread that lives as long as the
    process. Returns None where the kernel cannot do it.
    """
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return ask_kernel


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    death_signal: int = signal.SIGKILL,
    user: int | None = None,
    group: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, its output appended to `log`."""
    with open_log(log) as output:
        return subprocess.Popen(  # noqa: S603 - composed by this package
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            user=user,
            group=group,
            pass_fds=pass_fds,
            extra_groups=None if user is None else [],
        )


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; old lines move to `<name>.1` once it is large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rotate(path)
    return path.open("ab")


def rotate(path: Path, *, limit_bytes: int = LOG_BYTES) -> bool:
    """Copy a log that outgrew its limit aside and empty it in place.

    The writer keeps its descriptor (it appends, so it goes on at the new end); lines written
    between copy and truncation are lost, which a log may bear and a blocked child could not.
    """
    try:
        if path.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)
    return True


def tail(path: Path, *, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - 8192))
            text = handle.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.strip().splitlines()[-lines:])


def size(path: Path) -> int:
    """How long a log is now; 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def said_since(path: Path, start: int) -> str:
    """What was added to a log since it was ``start`` bytes long."""
    try:
        with path.open("rb") as handle:
            handle.seek(min(start, size(path)))
            return handle.read(65536).decode(errors="replace")
    except OSError:
        return ""


def occupants(directory: Path, *, executable: str) -> list[psutil.Process]:
    """Processes of this name that work in this directory, whoever started them."""
    found = []
    target = str(directory.resolve())
    for process in psutil.process_iter(["name", "cwd", "status"]):
        name = process.info["name"] or ""
        if name.startswith(executable) and process.info["cwd"] == target:
            found.append(process)
    return found


def evict(directory: Path, *, executable: str, polite: int, patience_seconds: float = 10) -> int:
    """End servers that an earlier, killed tower left in this directory; says how many there were.

    Two servers on one data directory would destroy it, so this returns only when none is left.
    """
    left = occupants(directory, executable=executable)
    if not left:
        return 0
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.send_signal(polite)
    _, alive = psutil.wait_procs(left, timeout=patience_seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    if still := occupants(directory, executable=executable):
        pids = ", ".join(str(process.pid) for process in still)
        raise StartError(f"process {pids} still uses {directory} and could not be stopped")
    return len(left)


def kill_tree(pid: int) -> None:
    """Kill a child of ours, its session, and everything below it that left the session."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        family = [*top.children(recursive=True), top]
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    # A leader that has ended names no children any more, but its session still has its number.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def wait_gone(process: subprocess.Popen[bytes], *, timeout_seconds: float) -> bool:
    """Reap the child; False when it is still there after the timeout."""
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def wait_until(
    is_true: Callable[[], bool], *, timeout_seconds: float, every_seconds: float = 0.03
) -> bool:
    """Ask again and again until the answer is yes or the time is up."""
    deadline = time.monotonic() + timeout_seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True
