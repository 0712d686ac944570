"""Named places where a test may make the process die or dawdle; inert unless asked for.

``TOWER_FAILPOINT`` holds ``name:action`` or ``name:action:skip``, parted by commas. Actions:
``kill`` (SIGKILL to this process), ``abort`` (SIGABRT), ``raise`` (``RuntimeError``), or seconds
to sleep. ``skip`` passes are let through first. Production settings refuse to start with it set.
"""

from __future__ import annotations

import os
import signal
import time

VARIABLE = "TOWER_FAILPOINT"


def _read(text: str) -> dict[str, list[str | int]]:
    points: dict[str, list[str | int]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, action, *skip = entry.split(":")
        points[name] = [action, int(skip[0]) if skip else 0]
    return points


_POINTS = _read(os.environ.get(VARIABLE, ""))


def reach(name: str) -> None:
    """Say that the place ``name`` was reached. Does nothing unless the environment named it."""
    if not _POINTS or name not in _POINTS:
        return
    point = _POINTS[name]
    if isinstance(point[1], int) and point[1] > 0:
        point[1] -= 1
        return
    _act(name, str(point[0]))


def _act(name: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "abort":
        os.abort()
    elif action == "raise":
        raise RuntimeError(f"failpoint {name}")
    else:
        time.sleep(float(action))
