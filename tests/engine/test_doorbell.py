"""A drain without work hears the bell at once, and doesn't depend on it."""

from __future__ import annotations

import asyncio
import socket
import time
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from apps.runs import dispatch
from apps.runs.dispatch import ring
from apps.runs.domain.bells import bell_of
from apps.runs.domain.suspicion import FEW
from apps.runs.engine.doorbell import LEAST_S, MOST_S, Doorbell, pause_s
from apps.runs.engine.drain import Drain
from apps.runs.journal import claiming
from apps.runs.models import Run, Step
from controltower.launch import ports
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script

LONG = 60.0


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> str:
    """A lane of this test's own."""
    name = f"lane-{uuid4().hex}"
    monkeypatch.setitem(settings.RQ_QUEUES, name, settings.RQ_QUEUES["normal"])
    return name


async def heard(bells: list[Doorbell], seconds: float) -> list[bool]:
    found = await asyncio.gather(*(bell.wait(seconds) for bell in bells))
    for bell in bells:
        await bell.close()
    return found


@given(idle_s=st.floats(0, 1e6))
def test_who_has_waited_longer_looks_less_often_within_bounds(idle_s: float) -> None:
    assert LEAST_S <= pause_s(idle_s) <= pause_s(idle_s + 1) <= MOST_S


def test_a_bell_wakes_one_of_those_who_wait(lane: str) -> None:
    async def scene() -> list[bool]:
        waiting = asyncio.create_task(heard([Doorbell(lane), Doorbell(lane)], 3))
        await asyncio.sleep(0.2)
        assert await asyncio.to_thread(ring, lane)
        return await waiting

    assert sorted(asyncio.run(scene())) == [False, True]


def test_a_bell_that_rang_before_is_heard_and_bells_do_not_pile_up(lane: str) -> None:
    for _ in range(settings.BELLS_PER_LANE * 3):
        ring(lane)

    client = dispatch._client(settings.REDIS_URL)
    assert client.llen(bell_of(lane)) == settings.BELLS_PER_LANE
    assert 0 < client.ttl(bell_of(lane)) <= dispatch.BELL_KEPT_S
    assert asyncio.run(heard([Doorbell(lane)], LONG)) == [True]


def test_without_redis_the_drain_looks_for_itself(
    lane: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", f"redis://127.0.0.1:{ports.any_free()}/0")
    begun = time.monotonic()

    assert asyncio.run(heard([Doorbell(lane)] * 3, LONG)) == [False] * 3
    assert time.monotonic() - begun < LONG / 2
    assert not caplog.records


def test_a_redis_that_hangs_is_away_too(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        monkeypatch.setattr(settings, "REDIS_URL", address)
        begun = time.monotonic()

        assert asyncio.run(heard([Doorbell(lane)], 0.1)) == [False]
        assert time.monotonic() - begun < LONG / 2


def test_a_lingering_drain_takes_a_run_up_when_the_bell_rings(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Event()

    async def wait(bell: Doorbell, seconds: float) -> bool:
        """Waits for the bell alone: this drain never looks for itself."""
        if lingering.report.steps:  # the second time: it has done its work
            lingering.linger_s = 0
            return False
        waits.set()
        return await hear(bell, LONG)

    hear = Doorbell.wait
    monkeypatch.setattr(Doorbell, "wait", wait)
    lingering = Drain(lane="normal", seconds=LONG * 2, lease_s=30, in_flight=50, linger_s=LONG * 2)
    thread = Thread(target=lambda: asyncio.run(lingering.run()))
    thread.start()
    assert waits.wait(LONG)
    begun = time.monotonic()
    tower.start([busy_script(1)])
    thread.join(LONG)

    assert time.monotonic() - begun < LONG / 2
    assert set(Run.objects.values_list("state", flat=True)) == {"succeeded"}


def test_what_is_not_due_is_not_looked_into(tower: Tower) -> None:
    assert not claiming.is_due("normal")
    tower.start([busy_script(1)])

    assert claiming.is_due("normal")
    assert not claiming.is_due("urgent")

    suspects: dict[str, Any] = {"lease_losses": FEW.low}
    Step.objects.update(**suspects)
    assert not claiming.is_due("normal")  # they are for a drain that begins or is idle
