"""Events delivered: how many a second to five subscribers of which one always fails, and how soon
after the commit a single one is heard of."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from apps.audit import registry, services
from apps.audit.courier import Courier
from apps.audit.domain.actors import Actor
from apps.audit.domain.subscriber import Subscriber
from apps.audit.services import Fact, Notice
from apps.kernel.transactions import command
from tests.benchmarks.scale import Scale

Say = Callable[[str], None]
HEARD: dict[str, float] = {}  # subject → when the last of the four heard of it
COUNTS: dict[str, int] = {}
AT_ONCE = 100


def _hear(name: str, notices: Sequence[Notice]) -> None:
    COUNTS[name] = COUNTS.get(name, 0) + len(notices)
    now = time.perf_counter()
    for notice in notices:
        HEARD[notice.subject_id] = now


def hear_1(notices: Sequence[Notice]) -> None:
    _hear("1", notices)


def hear_2(notices: Sequence[Notice]) -> None:
    _hear("2", notices)


def hear_3(notices: Sequence[Notice]) -> None:
    _hear("3", notices)


def hear_4(notices: Sequence[Notice]) -> None:
    _hear("4", notices)


def refuse(notices: Sequence[Notice]) -> None:
    """The one that always fails."""
    raise RuntimeError("never")


SUBSCRIBERS = [
    Subscriber(f"bench.{how}", "a benchmark", ("bench.",), f"{__name__}.{how}")
    for how in ("hear_1", "hear_2", "hear_3", "hear_4", "refuse")
]


def measure(scale: Scale, say: Say) -> dict[str, Any]:
    """Events a second from the first commit until the last of four has heard the last, and
    milliseconds from the commit of a single event until all four have heard of it."""
    stop = threading.Event()
    HEARD.clear()
    COUNTS.clear()
    with registry.also(*SUBSCRIBERS):
        for one in SUBSCRIBERS:
            services.deliver(one)
        threads = Courier(stop).start()
        time.sleep(2)  # until the ear is there
        try:
            found = {**_delays(scale.latency_samples), **_rate(scale.events)}
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    say(
        f"  {found['events_per_second']:,.0f} events/s to four subscribers beside one that fails;"
        f" a single one after {found['delay_p50_ms']:.0f} ms (p95 {found['delay_p95_ms']:.0f})"
    )
    return found


def _delays(samples: int) -> dict[str, float]:
    took = []
    for n in range(samples):
        begun = time.perf_counter()
        _happen([f"d{n}"])
        _wait(4 * (n + 1))
        took.append((HEARD[f"d{n}"] - begun) * 1000)
        time.sleep(0.1)
    cuts = statistics.quantiles(took, n=20, method="inclusive")
    return {"delay_p50_ms": statistics.median(took), "delay_p95_ms": cuts[-1]}


def _rate(events: int) -> dict[str, float]:
    before = sum(COUNTS.values())
    begun = time.perf_counter()
    for n in range(0, events, AT_ONCE):
        _happen([f"r{i}" for i in range(n, n + AT_ONCE)])
    _wait(before + 4 * events)
    return {"events": events, "events_per_second": events / (time.perf_counter() - begun)}


def _wait(count: int) -> None:
    end = time.monotonic() + 300
    while sum(COUNTS.values()) < count:
        if time.monotonic() > end:
            raise AssertionError(f"only {COUNTS} of {count} were delivered")
        time.sleep(0.001)


@command
def _happen(subjects: Sequence[str]) -> None:
    services.record_many([Fact("bench.event", Actor.user("bench"), "thing", s) for s in subjects])
