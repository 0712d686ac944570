"""Somebody who can write to Redis puts jobs of theirs into a lane: none is run, and the lane goes
on."""

from __future__ import annotations

import pickle
from pathlib import Path

import django_rq
import pytest
from rq.job import Callback
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer, PickleSerializer

from apps.audit.models import Event
from apps.ops.selectors import health, troubles
from apps.runs.dispatch import TASK
from tests.engine.shop import call
from tests.faults import shop
from tests.faults.plant import Plant, until

LOOK = shop.script(call(shop.READ, 0, user_id="ada_byron_1"))


class Marked:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, at: Path) -> None:
        self.at = at

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.at,))


def test_nothing_foreign_is_run(proved: Plant, tmp_path: Path) -> None:
    marks = [tmp_path / name for name in ("json", "pickle", "arg", "called", "failed", "tidied")]
    queue = django_rq.get_queue("normal", serializer=JSONSerializer)
    pickling = django_rq.get_queue("normal", serializer=PickleSerializer)
    queue.enqueue("os.system", f"touch {marks[0]}")
    pickling.enqueue("os.system", f"touch {marks[1]}")
    pickling.enqueue("builtins.print", Marked(marks[2]))
    queue.enqueue(TASK, "normal", on_success=Callback("os.system"))
    queue.enqueue(TASK, "elsewhere", on_failure=Callback("os.system"))
    odd = queue.enqueue(TASK, "normal", job_timeout=-1)
    queue.connection.hset(odd.key, "created_at", b"not a time")
    raw = queue.enqueue(TASK, "normal", job_timeout=-1)
    queue.connection.hset(raw.key, "data", pickle.dumps(Marked(marks[2])))
    queue.connection.lpush(queue.key, b"\xff\xfe", "no-such-job")
    stale = queue.enqueue("os.system", f"touch {marks[5]}", on_failure=Callback("os.system"))
    registry = StartedJobRegistry(queue=queue)
    queue.connection.zadd(registry.key, {f"{stale.id}:execution": 1})
    proved.sweeper()

    proved.worker()
    runs = proved.start_runs([LOOK])
    proved.wait(runs)
    told = Event.objects.filter(kind="bell.refused", subject_id="normal")
    until(told.exists, "it is told", plant=proved)
    until(lambda: not queue.connection.llen(queue.key), "all of it is off the queue", plant=proved)

    assert [mark for mark in marks if mark.exists()] == []
    assert told[0].payload["times"] >= 1
    assert told[0].payload["why"]
    said = [t for t in troubles.troubles(health.overview()) if t.kind == "queue"]
    assert len(said) == 1
    assert "refused" in said[0].sentence


@pytest.mark.parametrize("command", ["shutdown", "kill-horse"])
def test_nobody_commands_a_worker_through_redis(proved: Plant, command: str) -> None:
    worker = proved.worker()
    queue = django_rq.get_queue("normal", serializer=JSONSerializer)
    proved.wait(proved.start_runs([LOOK]))

    heard = queue.connection.publish("rq:pubsub:*", "{}")
    for key in queue.connection.smembers("rq:workers"):
        name = key.decode().removeprefix("rq:worker:")
        heard += queue.connection.publish(f"rq:pubsub:{name}", f'{{"command": "{command}"}}')

    assert heard == 0
    proved.wait(proved.start_runs([LOOK]))
    assert worker.is_alive
