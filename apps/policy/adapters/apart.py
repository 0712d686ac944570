"""Work that must not be done in this process: it may take its whole memory, or never end.

A child does it, with a clock and a bound of memory, and is killed by its process id when its time
is over. It gets no settings and no secrets, only its task. What it said before it ended counts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MEMORY = 1_500 * 2**20  # bytes of address space: the solver's library alone takes a tenth
MOST_AT_ONCE = 1  # of one process: two would take the machine from those who wait for pages
_places = BoundedSemaphore(MOST_AT_ONCE)


@dataclass(frozen=True, slots=True)
class ChildOutput:
    """What a child said, line by line; ``ended`` is how it ended where it didn't end well.
    ``had_a_turn``: whether there was a child at all."""

    lines: tuple[dict[str, Any], ...] = ()
    ended: str = ""
    had_a_turn: bool = True


def said_apart(
    module: str,
    task: Mapping[str, Any],
    *,
    seconds: float,
    places: BoundedSemaphore = _places,
) -> ChildOutput:
    """What a module of ours says to a task within a time, in a process of its own. Waits as long
    for its turn, which is one of ``places``."""
    if not places.acquire(timeout=seconds):
        return ChildOutput(ended="another text is being looked through", had_a_turn=False)
    try:
        return _run(module, json.dumps(task).encode(), seconds)
    finally:
        places.release()


def _run(module: str, task: bytes, seconds: float) -> ChildOutput:
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
    )
    _bound(child.pid, seconds)
    try:
        output, _ = child.communicate(task, timeout=seconds)
        ended = "" if child.returncode == 0 else f"it ended with {child.returncode}"
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
        ended = f"it was not done within {seconds:g} s"
    return ChildOutput(tuple(_lines(output)), ended)


def _bound(pid: int, seconds: float) -> None:
    """Bound memory and processor time, where the system can (Linux). The child waits for its task
    meanwhile, so it has done nothing yet."""
    limit = getattr(resource, "prlimit", None)
    if limit is not None:
        limit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        whole = int(seconds) + 2
        limit(pid, resource.RLIMIT_CPU, (whole, whole))
        limit(pid, resource.RLIMIT_CORE, (0, 0))


def _lines(output: bytes) -> list[dict[str, Any]]:
    """The whole lines that are findings: of one that was cut off nothing is known, and a library
    may say something of its own."""
    whole, _, _ = output.rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n") if line.startswith(b"{")]
