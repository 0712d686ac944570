"""A deploy in the midst of work: workers told to end, drained, of two engines, restarted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from ruamel.yaml import YAML

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.catalog.selectors import pinned
from apps.ops.selectors import health, troubles
from apps.runs.models import Attempt, Run, Step, Worker
from apps.runs.services import workers
from tests.engine.conftest import Tower, _apply
from tests.engine.shop import CONTRACT, busy_script
from tests.engine.test_kills import effects
from tests.engine.watching import MOVE, horse_of, on_its_way, slow, until

RESTARTS = int(os.environ.get("TOWER_TEST_RESTARTS", "4"))


def ended(process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: process.poll() is not None


@pytest.fixture
def steady(tower: Tower) -> Iterator[None]:
    """The shop is quick again afterwards: other tests use the same one."""
    yield
    asyncio.run(tower.service.ask("tower_faults", faults=[]))


def worker(tower: Tower, **env: Any) -> subprocess.Popen[bytes]:
    """A worker with settings of its own."""
    usual = tower.env
    tower.env = {**usual, **{f"TOWER_{k}": str(v) for k, v in env.items()}}
    try:
        return tower.worker()
    finally:
        tower.env = usual


def row(process: subprocess.Popen[bytes]) -> Worker:
    return Worker.objects.get(kind="worker", pid=process.pid)


def is_up(process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return Worker.objects.filter(kind="worker", pid=process.pid).exists


def test_sigterm_lets_a_worker_finish_what_it_holds(tower: Tower) -> None:
    slow(tower, seconds=1.5, count=1)
    runs = tower.start([busy_script(2)])
    leaving = worker(tower)
    until(on_its_way, "the move is on its way")

    leaving.send_signal(signal.SIGTERM)

    until(ended(leaving), "the worker ends")
    assert leaving.returncode == 0
    [move] = Step.objects.filter(tool_name=MOVE)
    assert (move.state, move.attempts_made, move.lease_losses) == ("succeeded", 1, 0)
    [following] = Step.objects.filter(seq=move.seq + 1)  # recorded, and left to others
    assert (following.state, following.attempts_made) == ("queued", 0)
    assert not Worker.objects.filter(kind="worker").exists()  # it isn't missed
    worker(tower)
    tower.wait(runs, states={"succeeded"})
    assert set(effects(tower, runs).values()) == {1}


def test_what_is_not_finished_in_time_is_given_back_at_once(tower: Tower) -> None:
    slow(tower, seconds=2.8, count=1, tool="get_user_details")
    runs = tower.start([busy_script(1)])
    leaving = worker(tower, FINISH_SECONDS=0.5)
    until(lambda: on_its_way("get_user_details"), "the look is on its way")

    leaving.send_signal(signal.SIGTERM)

    until(ended(leaving), "the worker ends")
    look = Step.objects.get()
    assert (look.state, look.lease_losses, look.lease_owner) == ("queued", 0, "")
    assert Attempt.objects.get().outcome == "released"
    assert Event.objects.get(kind="step.released").subject_id == str(look.id)
    worker(tower)  # no sweeper: the lease was not waited for
    tower.wait(runs, states={"succeeded"})


def test_a_drained_worker_takes_nothing_until_it_is_let_work(tower: Tower) -> None:
    process = worker(tower)
    until(is_up(process), "the worker is up")

    call_command("drain", "--all", "--wait", "30")
    runs = tower.start([busy_script(1)])

    until(lambda: health.overview().workers[0].standing == "drained", "it is drained")
    assert "Every worker is drained" in " ".join(map(str, troubles.troubles(health.overview())))
    assert not Attempt.objects.exists()
    assert process.poll() is None
    workers.let_work(Actor.user("ida"), names=[row(process).name])
    tower.wait(runs, states={"succeeded"})
    drained = Event.objects.filter(kind__startswith="worker.").order_by("id")
    assert list(drained.values_list("kind", "actor")) == [
        ("worker.draining", "system:manage.py drain"),
        ("worker.let_work", "user:ida"),
    ]


def test_a_worker_drained_at_work_finishes_and_stays(tower: Tower) -> None:
    slow(tower, seconds=2.0, count=1)
    runs = tower.start([busy_script(2)])
    process = worker(tower)
    until(on_its_way, "the move is on its way")
    horse = horse_of(process.pid)

    workers.drain_workers(Actor.user("ida"), names=[row(process).name])

    until(lambda: not horse.is_running(), "the work-horse ends")
    [move] = Step.objects.filter(tool_name=MOVE)
    assert (move.state, move.attempts_made) == ("succeeded", 1)
    assert process.poll() is None
    assert Run.objects.get().state == "running"
    other = worker(tower)  # the next release
    tower.wait(runs, states={"succeeded"})
    assert row(other).draining_at is None


def test_each_engine_takes_the_runs_it_understands(tower: Tower, settings: Any) -> None:
    tower.spawn("sweep")
    old_worker = worker(tower, ENGINE_VERSION=1, RELEASE="1.0")
    settings.ENGINE_VERSION = 1
    old = tower.start([busy_script(2)])
    settings.ENGINE_VERSION = 2
    new = tower.start([busy_script(2)])
    tower.wait(old, states={"succeeded"})

    assert set(Step.objects.filter(run_id__in=new).values_list("state", flat=True)) == {"queued"}
    assert "No worker runs engine 2" in " ".join(map(str, troubles.troubles(health.overview())))
    settings.ENGINE_VERSION = 1
    late = tower.start([busy_script(2)])
    new_worker = worker(tower, ENGINE_VERSION=2, RELEASE="2.0")
    tower.wait([*new, *late], states={"succeeded"})

    assert {row(old_worker).release, row(new_worker).release} == {"1.0", "2.0"}
    old_names = set(Worker.objects.filter(engine_version=1).values_list("pid", flat=True))
    served = Attempt.objects.filter(run_id__in=new).values_list("worker", flat=True)
    assert not {int(name.split(":")[1]) for name in served} & old_names
    assert set(effects(tower, [*old, *new, *late]).values()) == {1}


def publish_stricter(tower: Tower) -> None:
    """The next version of the contract allows one step a run."""
    stricter = {**CONTRACT, "limits": {**CONTRACT["limits"], "steps": 1}}
    pack = tower.folder / "retail"
    YAML().dump(json.loads(json.dumps(stricter)), pack / "jobs" / "shop.yaml")
    _apply(pack)


def goes_on(attempts: int) -> Callable[[], bool]:
    """Whether more than these attempts were made by now, or nothing is left to be done."""

    def more() -> bool:
        is_open = Run.objects.filter(finished_at__isnull=True).exists()
        return not is_open or Attempt.objects.count() > attempts

    return more


@pytest.mark.slow
def test_restarts_in_turn_lose_and_double_nothing(
    tower: Tower, settings: Any, steady: None
) -> None:
    """Two workers are replaced in turn, by one of the next engine and back, while runs go on; the
    contract that these pin is superseded meanwhile."""
    settings.ENGINE_VERSION = 1
    tower.env["TOWER_ENGINE_VERSION"] = "1"
    slow(tower, seconds=0.5)  # so that no run ends before the first workers are told to
    tower.spawn("sweep")
    runs: list[UUID] = []
    crew = [worker(tower), worker(tower)]

    for turn in range(RESTARTS):
        if turn == RESTARTS // 2:
            publish_stricter(tower)
        elif turn < RESTARTS // 2:
            runs += tower.start([busy_script(6)] * 10)
        until(is_up(crew[turn % 2]), "the worker is up")
        if turn % 2 == 0:  # of the runs' engine: told to end when it has begun with something
            until(goes_on(Attempt.objects.count()), "steps are taken")
        crew[turn % 2].send_signal(signal.SIGTERM)
        crew[turn % 2] = worker(tower, ENGINE_VERSION=1 + turn % 2, FINISH_SECONDS=5)
    tower.wait(runs, states={"succeeded"}, seconds=120)

    [contract] = Run.objects.values_list("contract_version_id", flat=True).distinct()
    assert contract != pinned.current_contract("retail-shop").pk
    witnessed = effects(tower, runs)
    assert len(witnessed) == len(runs) * 6
    assert set(witnessed.values()) == {1}
    assert not Step.objects.filter(lease_losses__gt=0).exists()  # nobody was killed
    assert Attempt.objects.values("worker").distinct().count() > 1  # others went on
