"""Tools that hang, lie, refuse, flap, answer late or never (faults 18 to 24)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psutil
import pytest

from apps.runs.models import Attempt, Breaker, Receipt, Step
from tests.engine.shop import call
from tests.faults import shop
from tests.faults.plant import Plant, until
from tests.faults.test_workers import LOOK, MOVE, effects, sent, states

HOURS_10 = 36_000


@pytest.fixture
def busy(proved: Plant) -> Plant:
    """A plant at work."""
    proved.sweeper()
    proved.worker()
    proved.worker("urgent")
    return proved


def fault(kind: str, tool: str = shop.KEYED, count: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "tool": tool, **({} if count is None else {"count": count}), **more}


def tries(runs: Sequence[UUID], tool: str = shop.KEYED) -> list[Attempt]:
    found = Attempt.objects.filter(run_id__in=runs, step__tool_name=tool)
    return list(found.order_by("started_at"))


def test_18_a_tool_that_hangs(busy: Plant) -> None:
    """The time-out ends the call, the slot is free, and the class of the tool decides."""
    busy.faults(fault("hang", count=1), fault("hang", shop.LOOKED_UP))
    runs = busy.start_runs([MOVE])
    busy.wait(runs)

    assert states(runs) == {"succeeded"}
    first, second = tries(runs)[:2]
    assert first.error_class == "timeout"
    assert first.duration_ms is not None
    assert first.duration_ms <= (shop.TIMEOUT_S + 1) * 1000
    assert second.outcome == "ok"
    assert effects(busy, runs) == [1]


def test_19_an_answer_after_the_time_out(busy: Plant) -> None:
    """It closes the unknown step as its receipt, and nothing happens twice. Here the tool's own
    record speaks for it: the sweep asks by the key."""
    busy.faults(fault("late_reply", shop.LOOKED_UP, seconds=shop.TIMEOUT_S + 2, count=9))
    runs = busy.start_runs([shop.script(call(shop.LOOKED_UP, 0, **shop.CANCEL))])
    busy.wait(runs, {"succeeded"})

    assert effects(busy, runs) == [1]
    assert Receipt.objects.filter(run_id__in=runs).count() == 1


def test_20_21_work_done_and_the_answer_lost(busy: Plant) -> None:
    """A dropped reply and a 5xx after the work: the stored result, or a person's word. A 5xx
    before the work looks the same from here, and for an unkeyed tool it stays a question."""
    kinds = ("drop_reply", "error_after", "error_before")
    done: dict[str, tuple[list[UUID], list[UUID]]] = {}
    for kind in kinds:
        busy.faults(fault(kind), fault(kind, shop.UNKEYED))
        done[kind] = busy.start_runs([MOVE]), busy.start_runs([shop.unkeyed()], lane="urgent")
        busy.wait([*done[kind][0], *done[kind][1]])

    for kind, (keyed, unkeyed) in done.items():
        assert states(keyed) == {"succeeded"}, kind
        assert effects(busy, keyed) == [1], kind
        assert len(tries(keyed)) == 2, kind
        assert states(unkeyed) == {"confirmation_unknown"}, kind
        assert len(tries(unkeyed, shop.UNKEYED)) == 1, kind
        assert effects(busy, unkeyed) == [int(kind != "error_before")], kind


@pytest.mark.parametrize(
    ("told", "least_s", "most_s"),
    [
        ({"retry_after": "2"}, 2, 30),
        ({"retry_after_date_s": 3}, 1.5, 30),
        ({}, 0, 30),
        ({"retry_after": "-5"}, 0, 30),
        ({"retry_after": str(HOURS_10)}, 60, 901),
    ],
    ids=["seconds", "date", "missing", "negative", "ten-hours"],
)
def test_22_told_to_come_back(
    busy: Plant, told: dict[str, Any], least_s: float, most_s: float
) -> None:
    """429 with every sort of Retry-After: not before the told time, never beyond a quarter of an
    hour, and no worker is busy waiting."""
    busy.faults(fault("rate_limit", shop.UNKEYED, **told))
    runs = busy.start_runs([shop.unkeyed()])
    ended = Attempt.objects.filter(run_id__in=runs, number=1, ended_at__isnull=False)
    until(ended.exists, "it was turned away")

    step = Step.objects.get(run_id__in=runs)
    first = ended.get()
    assert first.ended_at is not None
    wait = step.not_before - first.ended_at if step.state == "queued" else timedelta()
    assert wait <= timedelta(seconds=most_s)
    assert step.lease_until is None or step.state != "queued"  # told to come at once, it may have
    if least_s > 30:
        assert wait >= timedelta(seconds=least_s)
        Step.objects.filter(pk=step.pk).update(not_before=first.ended_at)
    busy.wait(runs, {"succeeded"})
    if least_s <= 30:
        second = tries(runs, shop.UNKEYED)[1]
        assert second.started_at - first.ended_at >= timedelta(seconds=least_s - 0.05)
    assert effects(busy, runs) == [1]


def test_23_bodies_that_make_no_sense(busy: Plant) -> None:
    """Malformed, huge, dripping, redirected: an end with a reason, and memory stays flat."""
    bad = [
        fault("garbage"),
        fault("huge", megabytes=200),
        fault("slow_drip", seconds=0.2),
        fault("redirect"),
    ]
    [horse_of] = [c for c in busy.children if c.name == "worker"][:1]
    warm = busy.start_runs([LOOK])
    busy.wait(warm)
    peak = _Peak(horse_of.children())
    ended = {}
    for what in bad:
        busy.calm()
        busy.faults(what)
        runs = busy.start_runs([MOVE])
        busy.wait(runs, meanwhile=peak.look)
        ended[what["kind"]] = runs

    for kind, runs in ended.items():
        first = tries(runs)[0]
        assert first.outcome != "ok", kind
        assert first.error_class, kind
        assert max(effects(busy, runs)) <= 1, kind
    assert max(effects(busy, ended["redirect"])) == 0
    assert peak.grown_mb < 50


class _Peak:
    """How much processes' memory grew."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.before = {p: p.memory_info().rss for p in processes if p.is_running()}
        self.grown_mb = 0.0

    def look(self) -> None:
        for process, before in self.before.items():
            try:
                grown = (process.memory_info().rss - before) / 2**20
            except psutil.Error:
                continue
            self.grown_mb = max(self.grown_mb, grown)


def test_24_a_tool_that_flaps(busy: Plant) -> None:
    """The breaker opens, so that few calls reach the sick tool; the others don't notice."""
    busy.faults(fault("error_before", shop.KEYED, count=None, status=503))
    sick = busy.start_runs([MOVE] * 60)
    until(lambda: Breaker.objects.filter(state="open").exists(), "the breaker is open")
    calls = sent(busy, shop.KEYED)
    begun = time.monotonic()
    well = busy.start_runs([LOOK] * 40)
    busy.wait(well)
    took = time.monotonic() - begun

    assert states(well) <= {"succeeded", "failed"}
    assert took < 20
    time.sleep(1)
    assert sent(busy, shop.KEYED) - calls <= 32  # what was under way when it opened
    assert sent(busy, shop.KEYED) <= 60 * 1.2
    busy.faults()
    Breaker.objects.update(open_until="2000-01-01T00:00:00Z")
    until(
        lambda: (
            Breaker.objects.exclude(state="closed").update(open_until="2000-01-01T00:00:00Z") == 0
        ),
        "the breaker has closed by probes",
        plant=busy,
    )
    busy.wait(sick)
    assert states(sick) <= {"succeeded", "confirmation_unknown"}
    assert max(effects(busy, sick)) == 1
