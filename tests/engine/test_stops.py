"""Stops and breakers in force while a real tower works: what begins, what finishes, what waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from apps.audit.models import Event
from apps.audit.services import sweep
from apps.runs.domain.barrier import StopScope
from apps.runs.engine.drain import Drain
from apps.runs.journal import barriers
from apps.runs.models import PARKED_UNTIL, Attempt, Breaker, Intent, Run, Step
from apps.runs.services import stops
from tests.engine.conftest import Tower
from tests.engine.shop import address, busy_script, call
from tests.factories.accounts import UserFactory

TOOL = "retail/modify_user_address"
MOVE = "modify_user_address"


@pytest.fixture(autouse=True)
def fresh_memory(tower: Tower) -> Iterator[None]:
    """What this process remembers of breakers and stops is of other tests."""
    barriers.forget()
    yield
    fault(tower)
    barriers.forget()


def fault(tower: Tower, *faults: dict[str, Any]) -> None:
    asyncio.run(tower.service.ask("tower_faults", faults=list(faults)))


def drain(**changes: Any) -> Any:
    values = {"lane": "normal", "seconds": 20, "lease_s": 30, "in_flight": 50, **changes}
    return asyncio.run(Drain(**values).run())


def drain_until(holds: Callable[[], Any], **changes: Any) -> None:
    """Drain as often as it takes: a busy machine gets through less in a second."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, list(Step.objects.values_list("state", "waits_for"))
        drain(**changes)


def breaker_is(state: str) -> Callable[[], bool]:
    return lambda: Breaker.objects.filter(state=state).exists()


def in_background(**changes: Any) -> threading.Thread:
    thread = threading.Thread(target=lambda: drain(**changes))
    thread.start()
    return thread


def entries(tower: Tower) -> list[dict[str, Any]]:
    """Every effect of these runs, as the tool service wrote it down."""

    async def ask() -> list[dict[str, Any]]:
        worlds = [run.context["world"] for run in runs]
        found = [await tower.service.ask("tower_ledger", world=w) for w in worlds]
        return [entry for answer in found for entry in answer["entries"]]

    runs = list(Run.objects.all())
    return asyncio.run(ask())


def wait_until(holds: Callable[[], Any], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, list(Step.objects.values_list("state", "waits_for"))
        time.sleep(0.05)


def moves(*numbers: int) -> list[dict[str, Any]]:
    return [*(call(MOVE, n, **address(n)) for n in numbers), {"done": "x"}]


def looks(times: int) -> list[dict[str, Any]]:
    asked = [call("get_user_details", n, user_id="ada_byron_1") for n in range(times)]
    return [*asked, {"done": "x"}]


def test_a_stop_of_a_tool_in_mid_load_takes_effect_and_loses_nothing(tower: Tower) -> None:
    person = UserFactory.create(role="operator")
    movers = tower.start([busy_script(8)] * 4)
    tower.worker()
    wait_until(lambda: Step.objects.filter(tool_name=MOVE, state="succeeded").count() >= 4)

    stop_id = stops.place_stop(StopScope.TOOL, TOOL, reason="wrong streets", person=person)
    wait_until(_rests, seconds=30)
    effects = len(entries(tower))
    others = tower.start([looks(6)] * 3)
    tower.wait(others)
    wait_until(lambda: _parked(movers) == len(movers))

    assert (
        len(entries(tower))
        == effects
        == Step.objects.filter(disposition="executed").filter(tool_name=MOVE).count()
    ), "calls under way were recorded, and none begun since"
    assert set(Run.objects.filter(id__in=movers).values_list("state", flat=True)) == {"running"}
    assert Step.objects.filter(waits_for=f"tool {TOOL} is stopped").count() == len(movers)

    stops.lift_stop(stop_id, reason="mended", person=person)
    tower.wait(movers)

    found = entries(tower)
    assert len(found) == len({e["key"] for e in found}) == 4 * 8
    told = Event.objects.filter(kind__startswith="stop.").order_by("pk")
    assert list(told.values_list("kind", flat=True)) == ["stop.placed", "stop.lifted"]


def _rests() -> bool:
    """Whether no call is under way, nor any of a claim that was made before the stop."""
    if _moving():
        return False
    time.sleep(1)
    return not _moving()


def _moving() -> int:
    return Step.objects.filter(tool_name=MOVE, state="running").count()


def _parked(runs: list[UUID]) -> int:
    return Step.objects.filter(run_id__in=runs, not_before__gte=PARKED_UNTIL).count()


def test_a_call_that_waits_for_its_turn_at_the_tool_is_not_made_after_a_stop(tower: Tower) -> None:
    """The contract lets two cancellations at a time through; each takes a second here."""
    fault(tower, {"kind": "delay", "tool": "cancel_pending_order", "seconds": 1.0})
    cancel = call("cancel_pending_order", 0, order_id="#P", reason="no longer needed")
    tower.start([[cancel, {"done": "x"}]] * 12)
    thread = in_background(seconds=60)
    wait_until(lambda: Attempt.objects.count() == 12)

    stop_id = stops.place_stop(
        StopScope.JOB,
        "retail-shop",
        reason="wrong orders",
        person=UserFactory.create(role="operator"),
    )
    wait_until(lambda: not Step.objects.filter(state="running").exists())
    thread.join()

    made = len(entries(tower))
    assert 2 <= made <= 8
    assert made == Step.objects.filter(state="succeeded").count()
    waiting = Step.objects.filter(state="queued")
    assert waiting.count() == 12 - made
    assert set(waiting.values_list("attempts_made", "waits_for")) == {
        (0, "job retail-shop is stopped")
    }
    assert Attempt.objects.count() == made

    fault(tower)
    stops.lift_stop(stop_id, reason="right ones", person=UserFactory.create(role="admin"))
    drain()
    assert Step.objects.filter(state="succeeded", disposition="executed").count() == 12
    assert len(entries(tower)) == Intent.objects.count() == 12


def test_a_tool_that_fails_is_left_alone_but_for_two_probes(tower: Tower) -> None:
    fault(tower, {"kind": "error_before", "tool": MOVE})
    tower.start([moves(n) for n in range(40)])
    drain_until(breaker_is("open"), seconds=3)
    before = Attempt.objects.filter(outcome__in=["retryable", "unknown", "failed"]).count()

    drain(seconds=2)
    assert Attempt.objects.filter(step__tool_name=MOVE).count() == before
    _elapse()
    drain(seconds=4)

    probes = Attempt.objects.filter(step__tool_name=MOVE).count() - before
    assert 1 <= probes <= 2
    breaker = Breaker.objects.get()
    assert (breaker.state, breaker.reason) == ("open", "a probe failed")
    assert Step.objects.filter(waits_for__startswith=f"breaker of {TOOL} is ").exists()


def test_a_tool_that_is_back_is_probed_and_let_back(tower: Tower) -> None:
    fault(tower, {"kind": "error_before", "tool": MOVE})
    runs = tower.start([moves(n) for n in range(30)])
    drain_until(breaker_is("open"), seconds=1)
    fault(tower)
    left = Step.objects.filter(state="queued").count()
    assert left

    _elapse()
    sweep()
    drain_until(lambda: not Step.objects.filter(state="queued").exists(), seconds=20, linger_s=4)

    assert Breaker.objects.get().state == "closed"
    ended = Run.objects.filter(id__in=runs, state="succeeded").count()
    assert ended >= left
    assert len(entries(tower)) == ended
    told = Event.objects.filter(kind__startswith="breaker.").order_by("pk")
    kinds = list(told.values_list("kind", flat=True))
    assert kinds == ["breaker.opened", "breaker.half_open", "breaker.closed"]


def _elapse() -> None:
    """Let the time of open breakers be over, and what waited for them be due."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_breaker SET open_until = clock_timestamp()")
        cursor.execute("UPDATE runs_step SET not_before = clock_timestamp() WHERE state = 'queued'")
    barriers.forget()
