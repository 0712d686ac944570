"""Watching a tower at work, and slowing its shop down so that there is something to watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psutil
import pytest

from apps.runs.models import Attempt
from tests.engine.conftest import Tower

MOVE = "modify_user_address"


def until(is_true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Wait until something holds; fail with its name."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            pytest.fail(f"never: {what}")
        time.sleep(0.03)


def slow(tower: Tower, *, seconds: float, count: int | None = None, tool: str = MOVE) -> None:
    """Let the next calls of a tool take their time; all of them without ``count``."""
    fault = {"kind": "delay", "tool": tool, "seconds": seconds, "count": count}
    asyncio.run(tower.service.ask("tower_faults", faults=[fault]))


def on_its_way(tool: str = MOVE) -> bool:
    """Whether a call of the tool was committed as begun and hasn't ended."""
    return Attempt.objects.filter(step__tool_name=tool, ended_at=None).exists()


def horse_of(pid: int) -> psutil.Process:
    [horse] = psutil.Process(pid).children()
    return horse
