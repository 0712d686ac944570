"""What stands still is noticed: real workers stopped, killed and left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from django.db import connection

from apps.audit.models import DutyStanding
from apps.ops.selectors import troubles
from apps.ops.selectors.health import Trouble
from apps.runs.models import Worker
from controltower.launch import doctor
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script
from tests.engine.watching import horse_of, on_its_way, slow, until


@pytest.fixture(autouse=True)
def soon(tower: Tower, settings: Any) -> None:
    """All is noticed after two seconds instead of fifteen."""
    settings.NOTICE_SECONDS, settings.LEASE_SECONDS, settings.SWEEP_SECONDS = 2, 3, 0.5
    tower.env["TOWER_NOTICE_SECONDS"] = "2"


def told(kind: str, words: str) -> Callable[[], Trouble | None]:
    def look() -> Trouble | None:
        found = troubles.readiness()
        said = [t for t in found.troubles if t.kind == kind and words in t.sentence]
        assert not said or not found.is_ready
        return said[0] if said else None

    return look


def noticed(kind: str, words: str) -> Trouble:
    look, found = told(kind, words), []

    def is_told() -> bool:
        if (trouble := look()) is not None:
            found.append(trouble)
        return bool(found)

    until(is_told, f"“{words}” is noticed", seconds=40)
    return found[0]


def test_all_is_well_in_a_tower_at_work_and_idle(tower: Tower) -> None:
    tower.spawn("sweep")
    tower.worker()
    runs = tower.start([busy_script(2)] * 5)
    tower.wait(runs)

    # Two seconds of notice are soon over on a busy machine: what is well is well again.
    until(lambda: not troubles.readiness().troubles, "all is well", seconds=20)
    time.sleep(3)

    until(
        lambda: troubles.readiness().is_ready and not troubles.readiness().troubles,
        "all is well while idle",
        seconds=20,
    )
    until(
        lambda: [f.is_well for f in doctor._machinery(tower.env)] == [True],
        "the doctor says so",
        seconds=40,
    )


def test_a_lane_without_a_worker_is_noticed(tower: Tower) -> None:
    tower.spawn("sweep")
    tower.spawn("worker", "--lane", "urgent")

    tower.start([busy_script(1)])

    assert "manage.py worker --lane normal" in noticed("lane", "no live worker").mend
    told_by_doctor = [f for f in doctor._machinery(tower.env) if not f.is_well]
    assert any("no live worker" in f.detail and f.subject == "Lane" for f in told_by_doctor)


def test_a_stopped_worker_is_noticed(tower: Tower) -> None:
    tower.spawn("sweep")
    worker = tower.worker()
    tower.wait(tower.start([busy_script(1)]))
    whole = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for process in whole:
        process.suspend()

    tower.start([busy_script(1)])

    assert noticed("worker", "No worker has sent a heartbeat").mend
    assert noticed("lane", "no live worker").mend


def test_a_work_horse_that_makes_no_progress_is_noticed_and_so_is_its_lane(tower: Tower) -> None:
    tower.spawn("sweep")
    worker = tower.worker()
    slow(tower, seconds=1.5, count=4)
    tower.start([busy_script(2)] * 4)
    until(on_its_way, "a call is on its way")
    until(lambda: Worker.objects.filter(kind="drainer").exists(), "the work-horse has beaten")
    horse = horse_of(worker.pid)

    horse.suspend()
    tower.start([busy_script(1)])

    found = noticed("horse", f"The work-horse {horse.pid}")
    assert f"kill -9 {horse.pid}" in found.mend
    assert noticed("lane", "is stalled").mend


def test_a_stopped_sweeper_is_noticed(tower: Tower) -> None:
    sweeper = tower.spawn("sweep")
    until(lambda: told("sweeper", "")() is None, "the sweeper is up")

    psutil.Process(sweeper.pid).suspend()

    assert noticed("sweeper", "isn't running").mend


def test_a_duty_that_fails_is_noticed_while_the_others_are_done(tower: Tower) -> None:
    tower.spawn("sweep")
    tower.worker()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE runs_loadsample RENAME TO runs_loadsample_away")
    try:
        found = noticed("duty", "Admitted")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE runs_loadsample_away RENAME TO runs_loadsample")

    assert "runs_loadsample" in found.detail
    others = DutyStanding.objects.exclude(name="admitted")
    done = others.filter(failures=0, succeeded_at__isnull=False)
    until(lambda: done.count() == others.count() > 10, "the others are done", seconds=20)
    tower.wait(tower.start([busy_script(1)]))
    until(lambda: troubles.readiness().is_ready, "it goes well again", seconds=20)


def test_a_tool_server_that_hangs_is_noticed_within_half_a_minute(tower: Tower) -> None:
    tower.spawn("sweep")
    server = psutil.Process(tower.service.process.pid)
    server.suspend()
    try:
        until(lambda: told("tool_server", "")() is not None, "the server hangs", seconds=40)
        found = told("tool_server", "")()
    finally:
        server.resume()

    assert found is not None
    assert "retail" in found.sentence
    assert found.mend
