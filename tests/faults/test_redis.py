"""Redis wiped, killed, away or full: work waits in the database, and nothing else happens (faults
7 to 10)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import httpx
import pytest
import redis

from apps.oversight.models import Approval
from apps.runs.models import Run, Step
from controltower.launch.valkey import connect
from tests.faults import shop
from tests.faults.disks import small_disk
from tests.faults.people import Visitor, person
from tests.faults.plant import Child, Plant, until
from tests.faults.test_workers import LOOK, MOVE, RETURN, effects, states

QUEUED = 150


@pytest.fixture
def workers(proved: Plant) -> list[Child]:
    proved.sweeper()
    return [proved.worker(), proved.worker()]


def bells(plant: Plant) -> int:
    """How many invitations lie in Redis."""
    return int(connect(plant.valkey.url).llen("rq:queue:normal"))


def test_07_wiped_under_load(proved: Plant, workers: list[Child]) -> None:
    """Every wipe is survived, and the sweep rings again."""
    runs = proved.start_runs([MOVE] * QUEUED)
    client = connect(proved.valkey.url)
    done = Step.objects.filter(run_id__in=runs, state="succeeded")
    wiped = 0

    def wipe() -> None:
        nonlocal wiped
        if wiped < 5 and done.count() >= wiped * QUEUED // 5:
            client.flushall()
            wiped += 1

    proved.wait(runs, meanwhile=wipe)

    assert wiped == 5
    assert states(runs) == {"succeeded"}
    assert effects(proved, runs) == [1] * QUEUED


def test_08_killed_and_started_again(proved: Plant, workers: list[Child]) -> None:
    """Workers find their way back by themselves."""
    until(lambda: all(w.is_alive for w in workers), "workers are up")
    runs = []
    for _ in range(3):
        runs += proved.start_runs([MOVE] * 20)
        time.sleep(0.3)
        proved.valkey.kill()
        proved.valkey.start()
    proved.wait(runs)
    more = proved.start_runs([MOVE])
    proved.wait(more)

    assert states([*runs, *more]) == {"succeeded"}
    assert all(w.is_alive for w in workers)


@pytest.mark.parametrize("fault", ["refuse", "blackhole"])
def test_started_while_it_is_away(proved: Plant, fault: str) -> None:
    """What starts then waits for it, and says so: nobody has to start it again."""
    setattr(proved.redis_proxy.switches, fault, True)
    proved.sweeper()
    worker = proved.worker()
    _, url = proved.web()
    until(lambda: worker.said("waits for Redis"), "the worker waits", plant=proved)
    runs = proved.start_runs([MOVE] * 3)
    proved.redis_proxy.cut()
    proved.redis_proxy.calm()
    proved.wait(runs)

    assert worker.is_alive
    assert states(runs) == {"succeeded"}
    assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.parametrize("fault", ["refuse", "blackhole"])
def test_one_that_waits_ends_when_it_is_told_and_in_burst_mode_never_waits(
    proved: Plant, fault: str
) -> None:
    setattr(proved.redis_proxy.switches, fault, True)
    worker = proved.worker()
    until(lambda: worker.said("waits for Redis"), "the worker waits", plant=proved)
    worker.signal(signal.SIGTERM)
    until(lambda: not worker.is_alive, "it ended", seconds=3, plant=proved)

    at_once = proved.fork("worker", "--lane", "normal", "--burst")
    until(lambda: not at_once.is_alive, "it ended", seconds=30, plant=proved)
    assert not at_once.said("waits for Redis")


@pytest.fixture
def visitor(proved: Plant) -> Iterator[Visitor]:
    _, url = proved.web()
    visitor = Visitor(url, person())
    yield visitor
    visitor.http.close()


def test_09_away(proved: Plant, workers: list[Child], visitor: Visitor) -> None:
    """Decisions and new work are taken, pages answer, readiness says what is missing."""
    held = proved.start_runs([RETURN] * 4)
    proved.wait(held, {"waiting_approval"})
    proved.valkey.kill()

    answers = [visitor.decide(a) for a in Approval.objects.filter(run_id__in=held)]
    new = proved.start_runs([MOVE] * 5)
    ready, alive = visitor.get("/readyz"), visitor.get("/healthz")
    heads = visitor.get("/events/head/?streams=runs")

    assert [a.status_code for a in answers] == [200] * 4
    assert (alive.status_code, heads.status_code) == (200, 200)
    assert (ready.status_code, ready.json()["redis"]) == (503, False)
    assert ready.json()["database"] is True
    proved.valkey.start()
    proved.wait([*held, *new])
    assert states([*held, *new]) == {"succeeded"}
    assert effects(proved, held) == [1] * 4


def test_a_call_on_its_way_outlives_redis(proved: Plant, workers: list[Child]) -> None:
    """No worker ends, and none takes its work-horse along in the midst of a call."""
    proved.faults({"kind": "delay", "tool": shop.UNKEYED, "seconds": 4.0, "count": 1})
    runs = proved.start_runs([shop.unkeyed()])
    sent = proved.tool_proxy.arrivals
    until(lambda: any(a.tool == shop.UNKEYED for a in sent), "the call is under way")

    proved.valkey.kill()

    proved.wait(runs, {"succeeded"})
    proved.valkey.start()
    more = proved.start_runs([MOVE])
    proved.wait(more)
    assert all(w.is_alive for w in workers)


def test_10_full(proved: Plant, workers: list[Child], visitor: Visitor) -> None:
    """No room in memory, then none on the disk of the append-only file: as if it were away, and it
    recovers without anybody's help."""
    client = connect(proved.valkey.url)
    client.config_set("maxmemory", "1mb")
    full = proved.start_runs([MOVE] * 3)
    held = proved.start_runs([RETURN])
    with pytest.raises(redis.exceptions.ResponseError):
        client.set("x", "y")
    assert visitor.get("/healthz").status_code == 200
    client.config_set("maxmemory", "0")
    proved.wait(full)
    proved.wait(held, {"waiting_approval"})

    proved.valkey.kill()
    with small_disk(proved.valkey.data_dir, 8) as disk:
        proved.valkey.start()
        client = connect(proved.valkey.url)
        disk.fill()

        def refuses() -> bool:
            try:
                client.set("x", "y" * 9000)
            except redis.exceptions.RedisError as error:
                return "MISCONF" in str(error)
            return False

        until(refuses, "the disk is full")
        answer = visitor.decide(Approval.objects.get(run_id__in=held))
        new = proved.start_runs([LOOK])
        assert answer.status_code == 200
        disk.free()
        proved.wait([*held, *new])
        proved.valkey.kill()

    assert states([*full, *held]) == {"succeeded"}
    assert Run.objects.filter(id__in=new).exclude(state="running").count() == 1
