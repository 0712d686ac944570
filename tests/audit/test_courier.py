"""A courier that is killed at random leaves nothing out. ``TOWER_EVENTS=100000`` is the whole
proof; without it a part of it is tried."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from apps.audit import registry, services
from apps.audit.courier import Courier
from apps.audit.domain.actors import Actor
from apps.audit.models import Event, Subscription
from apps.kernel.transactions import command
from tests.audit.courier_process import NAMES, SUBSCRIBERS
from tests.audit.subscribing import HEARD, subscriber
from tests.engine.conftest import environment

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = int(os.environ.get("TOWER_EVENTS", "3000"))
AT_ONCE = 20
NOBODY: Any = SimpleNamespace(url="http://127.0.0.1:9/mcp")
SECONDS = max(60, EVENTS / 100)


def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def happen(start: int, count: int) -> None:
    facts = [
        services.Fact("flow.ran", Actor.user("t"), "thing", str(n))
        for n in range(start, start + count)
    ]
    command(services.record_many)(facts)


def start(folder: Path) -> subprocess.Popen[bytes]:
    env = {**environment(NOBODY), "TOWER_HEARD": str(folder)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.audit.courier_process"],
            cwd=settings.BASE_DIR,
            env=env,
            stdout=log,
            stderr=log,
        )


class Couriers:
    """Two of them; now and then one is killed and another takes its place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kills = folder, 0
        self._chance = random.Random(f"{EVENTS}")
        self._running = [start(folder), start(folder)]
        self._kill_at = time.monotonic() + 1.5

    def maybe_kill(self) -> None:
        if time.monotonic() < self._kill_at:
            return
        place = self._chance.randrange(2)
        self._running[place].send_signal(signal.SIGKILL)
        self._running[place].wait()
        self._running[place] = start(self.folder)
        self.kills += 1
        self._kill_at = time.monotonic() + self._chance.uniform(0.5, 3)

    def stop(self) -> None:
        for courier in self._running:
            courier.kill()
            courier.wait()


@pytest.mark.slow
def test_killed_at_random_every_subscriber_hears_everything_in_order(tmp_path: Path) -> None:
    for one in SUBSCRIBERS:
        services.deliver(one)
    begun, couriers = time.monotonic(), Couriers(tmp_path)
    try:
        for n in range(0, EVENTS, AT_ONCE):
            happen(n, AT_ONCE)
            couriers.maybe_kill()
            time.sleep(0.01)
        until(all_there, SECONDS)
    finally:
        couriers.stop()

    wanted = list(Event.objects.order_by("position").values_list("position", flat=True))
    assert len(wanted) == EVENTS
    for name in NAMES:
        heard = [int(line) for line in (tmp_path / name).read_text().split()]
        assert list(dict.fromkeys(heard)) == wanted, f"{name} heard something late, or not at all"
        again = sum(b <= a for a, b in pairwise(heard))
        assert again <= couriers.kills, "only a crash makes it hear something again"
    assert not (tmp_path / "never").exists()
    took = time.monotonic() - begun
    print(f"{EVENTS} events, {couriers.kills} kills, {took:.1f} s")  # noqa: T201


def all_there() -> bool:
    if Event.objects.filter(position=None).exists():
        return False
    [head] = Event.objects.order_by("-position").values_list("position", flat=True)[:1]
    rows = Subscription.objects.filter(name__in=[f"flow.{n}" for n in NAMES])
    return all(row.position == head for row in rows)


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()[-2000:]


def test_the_bell_brings_an_event_within_milliseconds() -> None:
    HEARD.clear()
    stop = threading.Event()
    took = []
    with registry.also(subscriber("tests.quick")):
        services.deliver(subscriber("tests.quick"))
        threads = Courier(stop).start()
        time.sleep(1.5)  # until the ear is there
        try:
            for n in range(20):
                begun = time.monotonic()
                happen(n, 1)
                until(lambda n=n: len(HEARD) > n)  # type: ignore[misc]
                took.append(time.monotonic() - begun)
                time.sleep(0.05)
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    HEARD.clear()
    assert sorted(took)[10] < 0.5, took
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connections.close_all()
