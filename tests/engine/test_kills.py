"""``kill -9`` at random moments: nothing is lost and nothing is doubled.

Real RQ workers are killed, parent or work-horse or both, while they drain; the tool service's own
ledger is the witness. The seed is printed, so that a failing round can be repeated.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from uuid import UUID

import django_rq
import psutil
import pytest

from apps.runs.models import Receipt, Run, Step
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script

KILLS = int(os.environ.get("TOWER_TEST_KILLS", "50"))
RUNS, MOVES = 60, 6


def effects(tower: Tower, runs: list[UUID]) -> Counter[tuple[str, str]]:
    """Effects by (world, key), as the witness counted them."""

    worlds = list(Run.objects.filter(id__in=runs).values_list("context__world", flat=True))

    async def ask() -> list[dict[str, str]]:
        found = []
        for world in worlds:
            found += (await tower.service.ask("tower_ledger", world=world))["entries"]
        return found

    return Counter((e["world"], e["key"]) for e in asyncio.run(ask()))


def kill_somebody(tower: Tower, dice: random.Random) -> bool:
    """Kill a worker that is at work: its parent, its work-horse or both. Whether there was one. A
    worker without a work-horse holds nothing, and killing it would prove nothing."""
    busy: list[tuple[psutil.Process, list[psutil.Process]]] = []
    for process in tower.processes:
        with suppress(psutil.NoSuchProcess):
            if process.poll() is None and "worker" in process.args:
                parent = psutil.Process(process.pid)
                if horses := parent.children(recursive=True):
                    busy.append((parent, horses))
    if not busy:
        return False
    parent, horses = dice.choice(busy)
    for victim in dice.choice([[parent], horses, [*horses, parent]]):
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
    return True


def what_became_of(runs: list[UUID]) -> str:
    """Runs and unfinished steps in a few lines, for a failure that has to be understood later."""
    mine = Run.objects.filter(id__in=runs)
    ends = Counter(mine.values_list("state", "outcome", "error_class"))
    columns = ("tool_name", "state", "disposition", "error_class", "attempts_made", "lease_losses")
    odd = Step.objects.filter(run__in=mine).exclude(state="succeeded").values_list(*columns)
    return f"runs {dict(ends)}\nsteps {list(odd)[:20]}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_workers_lose_nothing_and_double_nothing(tower: Tower) -> None:
    seed = int(os.environ.get("TOWER_TEST_SEED", random.randrange(10**6)))
    print(f"seed {seed}")  # noqa: T201  # shown when it fails
    dice, kills, next_kill = random.Random(seed), 0, 0.0
    tower.spawn("sweep")
    runs: list[UUID] = []

    def meanwhile() -> None:
        nonlocal kills, next_kill
        while sum(p.poll() is None and "worker" in p.args for p in tower.processes) < 3:
            tower.worker()
        if kills < KILLS and time.monotonic() > next_kill and kill_somebody(tower, dice):
            kills += 1
            next_kill = time.monotonic() + dice.uniform(0.05, 1.2)
        open_runs = Run.objects.filter(id__in=runs).exclude(state="succeeded").count()
        if kills < KILLS and open_runs < 20:
            runs.extend(tower.start([busy_script(MOVES)] * 20))

    runs += tower.start([busy_script(MOVES)] * RUNS)
    while kills < KILLS:
        meanwhile()
        time.sleep(0.02)
    tower.wait(runs, seconds=120, meanwhile=meanwhile)

    assert not Step.objects.filter(error_class="poison").exists(), what_became_of(runs)
    succeeded = Run.objects.filter(id__in=runs, state="succeeded").count()
    assert succeeded == len(runs), what_became_of(runs)
    mutations = Step.objects.filter(tool_name="modify_user_address")
    assert set(mutations.values_list("disposition", flat=True)) == {"executed"}
    assert Receipt.objects.count() == Step.objects.count() == len(runs) * MOVES * 2
    witnessed = effects(tower, runs)
    assert len(witnessed) == len(runs) * MOVES
    assert set(witnessed.values()) == {1}


@pytest.mark.slow
def test_a_wiped_redis_loses_nothing(tower: Tower) -> None:
    tower.spawn("sweep")
    tower.worker()
    runs = tower.start([busy_script(MOVES)] * 40)
    redis = django_rq.get_connection("normal")
    wiped = 0

    def meanwhile() -> None:
        nonlocal wiped
        if wiped < 5 and Step.objects.filter(state="succeeded").count() > 40 * wiped:
            redis.flushall()
            wiped += 1

    tower.wait(runs, seconds=60, meanwhile=meanwhile)

    assert wiped == 5
    assert set(Run.objects.values_list("state", flat=True)) == {"succeeded"}
    assert set(effects(tower, runs).values()) == {1}
