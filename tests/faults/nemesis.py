"""Load that never stops, and somebody who breaks something every few seconds.

Everything random comes from one seeded source, so that a seed names the same order of faults again
(not the same interleaving: these are real processes).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import redis
from django.db import DatabaseError, connection, connections

from apps.accounts.models import User
from apps.kernel.errors import TowerError
from apps.oversight.models import Approval
from apps.runs.models import Attempt, Run, Step
from controltower.launch.valkey import connect
from tests.engine.shop import address, call
from tests.faults import shop
from tests.faults.people import answer, person
from tests.faults.plant import Child, Plant, until

OPEN = ("accepted", "queued", "running", "waiting_approval", "compensating")
SCRIPTS: list[Callable[[int], list[dict[str, Any]]]] = [
    lambda n: shop.keyed(3),
    shop.mixed,
    lambda n: shop.unkeyed(),
    lambda n: shop.script(call(shop.LOOKED_UP, 0, **shop.CANCEL)),
    lambda n: shop.script(call(shop.APPROVED, 0, **shop.RETURN), call(shop.KEYED, 1, **address(n))),
]


@dataclass
class Load:
    """Keeps about ``open_runs`` runs going with ``workers`` workers and a sweeper, and a person who
    answers what is asked."""

    plant: Plant
    dice: random.Random
    open_runs: int = 40
    workers: int = 3
    takes_new: bool = True
    started: list[UUID] = field(default_factory=list)
    person: User | None = None

    def tend(self) -> None:
        """One look around: replace who died, start what is missing, answer what is asked. While the
        database is away nothing can be done, and that is no error."""
        self._staff()
        try:
            self._begin()
            self._answer()
        except DatabaseError:
            connections.close_all()

    def _staff(self) -> None:
        alive = Counter(c.name for c in self.plant.children if c.is_alive)
        for _ in range(self.workers - alive["worker"]):
            self.plant.worker()
        if not alive["sweep"]:
            self.plant.sweeper()

    def _begin(self) -> None:
        if not self.takes_new:
            return
        missing = self.open_runs - Run.objects.filter(state__in=OPEN).count()
        if missing > 0:
            number = len(self.started)
            scripts = [self.dice.choice(SCRIPTS)(number + n) for n in range(missing)]
            self.started += self.plant.start_runs(scripts)

    def _answer(self) -> None:
        self.person = self.person or person()
        for question in Approval.objects.filter(state="pending").order_by("?")[:5]:
            with suppress(TowerError):
                answer(question, self.person, approve=self.dice.random() < 0.8)

    def finish(self, *, seconds: float = 240) -> None:
        """Take nothing new, and wait until everything accepted has come to rest."""
        self.takes_new = False

        def rests() -> bool:
            self.tend()
            try:
                return not Run.objects.filter(state__in=OPEN).exists()
            except DatabaseError:
                connections.close_all()
                return False

        until(rests, "everything has come to rest", seconds=seconds, every_s=0.3, plant=self.plant)


@dataclass
class Nemesis:
    """Breaks things. ``done`` counts what it did."""

    plant: Plant
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    killed: dict[int, float] = field(default_factory=dict)  # work-horse → when, database's clock
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def tend(self) -> None:
        """Undo what has lasted long enough."""
        now = time.monotonic()
        due = [work for at, work in self.later if at <= now]
        self.later = [(at, work) for at, work in self.later if at > now]
        for work in due:
            work()

    def mend(self) -> None:
        """Undo everything now."""
        for _, work in self.later:
            work()
        self.later.clear()
        self.plant.calm()

    def strike(self) -> str:
        """Break something at random; returns what."""
        name = self.dice.choice(sorted(FAULTS))
        FAULTS[name](self)
        self.done[name] += 1
        return name

    def kill_worker(self, *, holding: bool = False) -> bool:
        """Kill -9 a worker that has a work-horse: the parent, the horse, or both. ``holding``: only
        one that holds leases at this moment. Whether there was one."""
        busy = [(c, h) for c in self._alive("worker") if (h := c.children())]
        if holding:
            holders = _holders()
            busy = [(c, h) for c, h in busy if holders & {horse.pid for horse in h}]
        if not busy:
            return False
        worker, horses = self.dice.choice(busy)
        whom = self.dice.choice(["parent", "horse", "both"])
        at = _database_time()
        for horse in horses:
            self.killed[horse.pid] = at
            if whom != "parent":
                with suppress(Exception):
                    horse.kill()
        if whom != "horse":
            worker.signal(signal.SIGKILL)
        return True

    def _alive(self, name: str) -> list[Child]:
        return [c for c in self.plant.children if c.name == name and c.is_alive]

    def _after(self, low: float, high: float, work: Callable[[], object]) -> None:
        self.later.append((time.monotonic() + self.dice.uniform(low, high), work))

    # --- faults -----------------------------------------------------------------------------------

    def pause_worker(self) -> None:
        for worker in self._alive("worker")[:1]:
            family = [worker.pid, *(h.pid for h in worker.children())]
            _signal_all(family, signal.SIGSTOP)
            self._after(2, 6, partial(_signal_all, family, signal.SIGCONT))

    def end_worker(self) -> None:
        for worker in self._alive("worker")[:1]:
            worker.signal(signal.SIGTERM)

    def kill_sweeper(self) -> None:
        for sweeper in self._alive("sweep"):
            sweeper.signal(signal.SIGKILL)

    def restart_postgres(self) -> None:
        self.plant.restart_postgres(self.dice.uniform(0, 2))
        connections.close_all()

    def cut_postgres(self) -> None:
        self.plant.pg_proxy.cut()

    def cut_a_transaction(self) -> None:
        self.plant.pg_proxy.switches.cut_after = self.dice.randrange(1_000, 80_000)

    def swallow_commits(self) -> None:
        switches = self.plant.pg_proxy.switches
        switches.swallow, switches.swallows = b"COMMIT", self.dice.randrange(1, 6)

    def slow_postgres(self) -> None:
        self.plant.pg_proxy.switches.delay_s = 0.05
        self._after(2, 6, self.plant.pg_proxy.calm)

    def restart_redis(self) -> None:
        self.plant.valkey.kill()
        self._after(0, 4, self.plant.valkey.start)

    def wipe_redis(self) -> None:
        with suppress(redis.RedisError):
            connect(self.plant.valkey.url).flushall()

    def darken_redis(self) -> None:
        self.plant.redis_proxy.switches.blackhole = True
        self._after(1, 5, self.plant.redis_proxy.calm)

    def sicken_tools(self) -> None:
        kinds = ["drop_reply", "error_before", "error_after", "rate_limit", "hang", "garbage"]
        kinds += ["late_reply", "delay", "slow_drip"]
        faults = [
            {"kind": kind, "probability": 0.3, "seconds": self.dice.uniform(0.05, 3)}
            for kind in self.dice.sample(kinds, 3)
        ]
        with suppress(AssertionError):
            self.plant.faults(*faults, seed=self.dice.randrange(10**6))
            self._after(2, 8, self.plant.faults)

    def cut_tools(self) -> None:
        self.plant.tool_proxy.cut()

    def restart_tools(self) -> None:
        assert self.plant.service is not None
        self.plant.service.kill()
        self.plant.service.wait()
        self.plant.start_service()


FAULTS: dict[str, Callable[[Nemesis], object]] = {
    "kill a worker": Nemesis.kill_worker,
    "pause a worker": Nemesis.pause_worker,
    "end a worker": Nemesis.end_worker,
    "kill the sweeper": Nemesis.kill_sweeper,
    "restart PostgreSQL": Nemesis.restart_postgres,
    "cut PostgreSQL": Nemesis.cut_postgres,
    "cut a transaction": Nemesis.cut_a_transaction,
    "swallow commits": Nemesis.swallow_commits,
    "slow PostgreSQL": Nemesis.slow_postgres,
    "restart Redis": Nemesis.restart_redis,
    "wipe Redis": Nemesis.wipe_redis,
    "darken Redis": Nemesis.darken_redis,
    "sicken the tools": Nemesis.sicken_tools,
    "cut the tools": Nemesis.cut_tools,
    "restart the tools": Nemesis.restart_tools,
}


def soak(
    load: Load,
    nemesis: Nemesis,
    *,
    seconds: float,
    every_s: tuple[float, float],
    strike: Callable[[], object] | None = None,
    tell: Callable[[float], object] = lambda _: None,
) -> None:
    """Let the two work against each other for a while; then mend everything and let it finish.
    ``tell`` hears again and again how many seconds have passed."""
    end = time.monotonic() + seconds
    next_strike = time.monotonic() + nemesis.dice.uniform(*every_s)
    while time.monotonic() < end:
        load.tend()
        nemesis.tend()
        tell(seconds - (end - time.monotonic()))
        if time.monotonic() >= next_strike:
            (strike or nemesis.strike)()
            next_strike = time.monotonic() + nemesis.dice.uniform(*every_s)
        time.sleep(0.05)
    nemesis.mend()
    load.finish()


def resumed_in(nemesis: Nemesis) -> list[float]:
    """Seconds from each kill to the next attempt of each step that the killed one held."""
    found = []
    for lost in Attempt.objects.filter(outcome="lease_lost"):
        at = nemesis.killed.get(_pid_of(lost.worker))
        later = Attempt.objects.filter(step_id=lost.step_id, number=lost.number + 1).first()
        if at is not None and later is not None:
            found.append(later.started_at.timestamp() - at)
    return sorted(found)


def _holders() -> set[int]:
    """The processes that hold leases."""
    try:
        names = Step.objects.filter(state="running").values_list("lease_owner", flat=True)
        return {_pid_of(name) for name in names.distinct()}
    except DatabaseError:
        connections.close_all()
        return set()


def _pid_of(worker: str) -> int:
    parts = worker.split(":")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def _database_time() -> float:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
            return float(cursor.fetchone()[0])
    except DatabaseError:
        connections.close_all()
        return time.time()


def _signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
