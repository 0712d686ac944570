"""Durable steps a second with tools that do nothing: ours, DBOS, LangGraph, the commit floor.

Everybody runs on the same PostgreSQL. First each engine's configurations are tried shortly and its
best is kept; then rounds are interleaved (ABCD ABCD …), so that a busy minute of the machine hits
all alike. The clock runs from the first run that is accepted until the last one is finished.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks import ours
from tests.benchmarks.children import Crew, Peer
from tests.benchmarks.environments import python_of
from tests.benchmarks.ground import Ground
from tests.benchmarks.scale import Scale
from tests.benchmarks.usage import cpu_seconds

Say = Callable[[str], None]
OURS = "Control Tower"
DBOS = "DBOS"
LANGGRAPH = "LangGraph (sync)"
FLOOR8 = "commit floor, 8 connections"
FLOOR1 = "commit floor, 1 connection"
FLOOR8_EXPLICIT = "commit floor, 8 connections, BEGIN … COMMIT"


@dataclass
class Contender:
    """One row of the table: a way to do ``runs`` and what it reached, round by round."""

    name: str
    configuration: str
    runs: int
    database: str
    prepared: Callable[[], Any]
    rates: list[float] = field(default_factory=list)
    details: list[dict[str, float]] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


class Ours:
    """Some of our workers, warm."""

    def __init__(self, env: dict[str, str], workers: int) -> None:
        self.crew = Crew(env)
        for _ in range(workers):
            self.crew.worker()
        self.crew.sweeper()  # it seals the audit log, which is part of what a step costs
        self.accept_s = 0.0
        self.warm_up_steps = 0

    def __enter__(self) -> Ours:
        warm = ours.start_many(ours.ten_steps(), 60)
        self.warm_up_steps = len(warm) * ours.STEPS
        self.settle()
        ours.verify(warm)
        return self

    def __exit__(self, *exc: object) -> None:
        self.crew.__exit__(*exc)
        ours.clear_bells()

    def cpu_seconds(self) -> float:
        """Of the workers, the sweeper and this process, which accepts the runs."""
        crew = sum(cpu_seconds(process.pid) for process in self.crew.processes)
        return crew + sum(os.times()[:2])

    def settle(self) -> None:
        ours.wait_until_done(seconds=600)

    def go(self, runs: int) -> tuple[int, float]:
        begun = time.perf_counter()
        started = ours.start_many(ours.ten_steps(), runs)
        self.accept_s = time.perf_counter() - begun
        self.settle()
        took = time.perf_counter() - begun
        ours.verify(started)
        return len(started) * ours.STEPS, took


def contenders(
    ground: Ground, env: dict[str, str], scale: Scale, only: Sequence[str]
) -> dict[str, list[Contender]]:
    """Every configuration that is tried, by contender."""
    found: dict[str, list[Contender]] = {}
    if "ours" in only:
        found[OURS] = [
            Contender(OURS, f"{n} worker(s)", scale.our_runs, "controltower", _ours(env, n))
            for n in (1, 2)
        ]
    if "dbos" in only:
        url = ground.database("peer_dbos")
        found[DBOS] = [
            Contender(
                DBOS, f"{way}, {p} process(es) of {t} thread(s)", scale.peer_runs, "peer_dbos", made
            )
            for way, p, t in _DBOS_WAYS
            for made in [_peer("dbos", [[url, str(t), way, str(i)] for i in range(p)])]
        ]
    if "langgraph" in only:
        url = ground.database("peer_langgraph")
        found[LANGGRAPH] = [
            Contender(
                LANGGRAPH,
                f"{p} process(es) of {t} thread(s)",
                scale.peer_runs,
                "peer_langgraph",
                made,
            )
            for p, t in ((1, 1), (1, 4), (2, 1), (2, 4))
            for made in [_peer("langgraph", [[url, str(t)]] * p)]
        ]
    if "floor" in only:
        url = ground.database("peer_floor")
        for name, connections, way in _FLOORS:
            made = _peer("floor", [[url, str(connections), way]])
            found[name] = [Contender(name, way, scale.floor_rows, "peer_floor", made)]
    return found


_FLOORS = [
    (FLOOR1, 1, "autocommit"),
    (FLOOR8, 8, "autocommit"),
    (FLOOR8_EXPLICIT, 8, "explicit"),
]
_DBOS_WAYS = [
    ("called", 1, 4),
    ("called", 2, 4),
    ("called", 2, 8),
    ("started", 1, 16),
    ("started", 2, 8),
    ("queue", 1, 16),
    ("queue", 2, 8),
]


def _ours(env: dict[str, str], workers: int) -> Callable[[], Any]:
    return lambda: Ours(env, workers)


def _peer(name: str, arguments: Sequence[Sequence[str]]) -> Callable[[], Any]:
    return lambda: Peer(name, python_of(name), arguments)


def _round(ground: Ground, one: Contender, runs: int) -> tuple[float, dict[str, float]]:
    """One round. A backend reports its commits at the latest when it ends, so they are counted
    over the whole life of the contender's processes, and per step of all that they did."""
    commits = ground.commits(one.database)
    with one.prepared() as ready:
        ground.checkpoint()
        statements = ground.statements(one.database)
        cpu = ready.cpu_seconds() + ground.cpu_seconds()
        steps, seconds = ready.go(runs)
        cpu = ready.cpu_seconds() + ground.cpu_seconds() - cpu
        statements = ground.statements(one.database) - statements
    commits = ground.commits(one.database) - commits
    detail = {
        "steps": steps,
        "seconds": seconds,
        "commits_per_step": commits / (steps + ready.warm_up_steps),
        "statements_per_step": statements / steps,
        "cpu_ms_per_step": cpu * 1000 / steps,
    }
    if isinstance(ready, Ours):
        detail["accepting_seconds"] = ready.accept_s
    return steps / seconds, detail


def best_of(ground: Ground, tried: list[Contender], say: Say) -> tuple[Contender, dict[str, float]]:
    """The fastest configuration in a short trial, and what each of them reached."""
    rates: dict[str, float] = {}
    for one in tried:
        if len(tried) > 1:
            rates[one.configuration], _ = _round(ground, one, max(16, one.runs // 3))
            say(f"  {one.name}: {one.configuration}: {rates[one.configuration]:,.0f} steps/s")
    return max(tried, key=lambda c: rates.get(c.configuration, 0.0)), rates


def measure(
    ground: Ground, env: dict[str, str], scale: Scale, say: Say, *, only: Sequence[str]
) -> dict[str, Any]:
    """The whole case. Rates are medians over the rounds."""
    trials: dict[str, dict[str, float]] = {}
    chosen: list[Contender] = []
    for name, tried in contenders(ground, env, scale, only).items():
        best, trials[name] = best_of(ground, tried, say)
        chosen.append(best)
    for number in range(scale.rounds):
        for one in chosen:
            rate, detail = _round(ground, one, one.runs)
            one.rates.append(rate)
            one.details.append(detail)
            say(f"  round {number + 1}: {one.name}: {rate:,.0f} steps/s")
    return {
        "contenders": {one.name: _row(one) for one in chosen},
        "trials": trials,
        "ratios": ratios({one.name: one.rates for one in chosen}),
        "ratios_of_medians": ratios({one.name: [one.median] for one in chosen}),
    }


def _row(one: Contender) -> dict[str, Any]:
    middle = {name: statistics.median(d[name] for d in one.details) for name in one.details[0]}
    return {
        "configuration": one.configuration,
        "steps_per_second": one.median,
        "rounds": [round(rate, 1) for rate in one.rates],
        **middle,
    }


def ratios(rates: dict[str, list[float]]) -> dict[str, float]:
    """Ours over theirs, round by round, and the median of that: what the machine was busy with in a
    round slowed both."""
    pairs = {"dbos": DBOS, "langgraph": LANGGRAPH, "commit_floor": FLOOR8}
    pairs["commit_floor_explicit"] = FLOOR8_EXPLICIT
    mine = rates.get(OURS, [])
    return {
        key: statistics.median(a / b for a, b in zip(mine, rates[name], strict=True))
        for key, name in pairs.items()
        if mine and name in rates
    }
