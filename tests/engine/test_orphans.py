"""A worker that dies without its work-horse, and one that wakes after its lease (faults 5, 6)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from apps.audit.models import Event
from apps.runs.models import Attempt, Step
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script
from tests.engine.test_kills import effects

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


def test_a_killed_worker_takes_its_work_horse_along(tower: Tower) -> None:
    slow(tower, seconds=2.5, count=1)
    runs = tower.start([busy_script(2)])
    worker = tower.worker()
    until(on_its_way, "the move is on its way")
    horse = horse_of(worker.pid)

    worker.send_signal(signal.SIGKILL)  # the parent only

    gone, _ = psutil.wait_procs([horse], timeout=5)
    assert gone == [horse]
    tower.spawn("sweep")
    tower.worker()
    tower.wait(runs, states={"succeeded"})
    assert set(effects(tower, runs).values()) == {1}
    assert Step.objects.get(lease_losses=1).tool_name == MOVE


def test_a_worker_that_slept_beyond_its_lease_writes_nothing(tower: Tower) -> None:
    slow(tower, seconds=1.0, count=1)
    runs = tower.start([busy_script(1)])
    sleeper = tower.worker()
    until(on_its_way, "the move is on its way")
    horse = horse_of(sleeper.pid)
    horse.suspend()
    sleeper.send_signal(signal.SIGSTOP)
    tower.spawn("sweep")
    tower.worker()
    tower.wait(runs, states={"succeeded"})
    before = list(Step.objects.order_by("seq").values("state", "result", "attempts_made"))

    horse.resume()
    sleeper.send_signal(signal.SIGCONT)

    fenced = Event.objects.filter(kind="step.fenced")
    until(fenced.exists, "the sleeper's result is fenced")
    assert list(Step.objects.order_by("seq").values("state", "result", "attempts_made")) == before
    [told] = fenced
    lost = Attempt.objects.get(outcome="lease_lost")
    assert (told.subject_id, told.payload) == (str(lost.step_id), {"token": lost.lease_token})
    assert set(effects(tower, runs).values()) == {1}
