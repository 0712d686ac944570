"""What may not begin, and how many may: ``journal.barriers``, ``breakers``, ``pressure`` and
``budgets`` over the simulated database. What they decide is decided by the domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from uuid import UUID

from apps.calls.domain import breaker, budget
from apps.calls.domain.breaker import BreakerStatus
from apps.calls.domain.caps import CapLimits, RateLimit, Rooms, Who, own_pace
from apps.calls.domain.retry import Ending
from apps.runs.domain import barrier
from apps.runs.domain.barrier import Barriers, Shut
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.domain.states import TERMINAL, State
from tests.simulation.rows import FOR_EVER, Done, Step
from tests.simulation.store import BEGAN, Store


@dataclass(frozen=True, slots=True)
class Parked:
    step: Step
    waits_for: str
    wait_s: float | None


class Bounds:
    """What is in force, for all workers."""

    def __init__(self, store: Store, rng: Random, caps: Sequence[CapLimits]) -> None:
        self.store = store
        self.rng = rng
        self.caps = {(c.scope, c.key): c for c in caps}

    # --- barriers -----------------------------------------------------------------------------

    def in_force(self) -> Barriers:
        """``barriers.read``."""
        store, now = self.store, self.store.datetime()
        shut: dict[str, list[Shut]] = {}
        for tool, one in store.breakers.items():
            if one.state != "closed":
                shut[tool] = [Shut(tool, "", _opens_in(one, now))]
        paused = frozenset(
            r.id for r in store.runs.values() if r.paused and r.state not in TERMINAL
        )
        return Barriers(shut, list(store.stops.values()), paused)

    def block_of(self, found: Barriers, step: Step) -> barrier.Block | None:
        return barrier.blocked(
            found,
            tool=step.tool.full_name,
            agent=step.run.agent,
            job=step.run.job,
            is_undoing=step.compensates is not None,
            run_id=step.run.id,
        )

    def part(self, steps: Sequence[Step]) -> tuple[list[Step], list[Parked]]:
        """``barriers.part``: what may begin, probes included, and what something holds."""
        found = self.in_force() if steps else Barriers()
        if found.empty:
            return list(steps), []
        kept, parked, probing = [], [], Counter[str]()
        for step in steps:
            block = self.block_of(found, step)
            name = step.tool.full_name
            if block is not None:
                parked.append(Parked(step, block.waits_for, block.retry_in_s))
            elif barrier.shut_of(found, name) is None:
                kept.append(step)
            elif self._may_probe(name, probing[name], steps):
                probing[name] += 1
                kept.append(step)
            else:
                parked.append(Parked(step, barrier.probe_words(name), barrier.PROBE_PATIENCE_S))
        return kept, parked

    def _may_probe(self, name: str, promised: int, asking: Sequence[Step]) -> bool:
        """``take_probes`` and ``begin_probing``: leased steps are what is counted."""
        store, one = self.store, self.store.breakers[name]
        if not breaker.is_probed(one, store.datetime()):
            return one.state == "closed"
        if one.state == "open":
            store.breakers[name] = breaker.half_opened(one)
        running = store.by_state[State.RUNNING].values()
        out = sum(s.tool.full_name == name and s not in asking for s in running)
        return promised < breaker.room(out)

    # --- caps and rates -----------------------------------------------------------------------

    def room(self, steps: Sequence[Step]) -> tuple[list[Step], list[Parked]]:
        """``pressure.part``: what is approved or undoes something comes first."""
        store = self.store
        running: dict[tuple[str, str], int] = {}
        for step in store.by_state[State.RUNNING].values():
            if step not in steps:
                for pair in _pairs(step):
                    running[pair] = running.get(pair, 0) + 1
        rooms = Rooms(self.caps, store.datetime(), running, store.buckets)
        kept, parked = [], []
        for step in sorted(steps, key=lambda s: not _is_first(s)):
            block = rooms.take(_who(step), _own(step), first=_is_first(step))
            if block is None:
                kept.append(step)
            else:
                parked.append(Parked(step, block.waits_for, block.retry_in_s))
        return kept, parked

    # --- breakers and budgets -----------------------------------------------------------------

    def note(self, done: Sequence[Done]) -> None:
        """``breakers.note``, and ``wake_probers`` where a breaker closed."""
        tally: dict[str, list[int]] = {}
        for one in done:
            failed = one.reply.ending not in {Ending.ANSWERED, Ending.REFUSED}
            counts = tally.setdefault(one.act.step.tool.full_name, [0, 0, 0])
            counts[0] += not failed
            counts[1] += failed
            counts[2] += one.reply.error_class == "timeout"
        now = self.store.datetime()
        for name, (successes, failures, timeouts) in tally.items():
            before = self.store.breakers.get(name) or BreakerStatus("closed", now)
            after = breaker.after(
                before, successes=successes, failures=failures, timeouts=timeouts, now=now,
                jitter=self.rng.random(),
            )  # fmt: skip
            self.store.breakers[name] = after
            self._changed(name, before, after)

    def _changed(self, name: str, before: BreakerStatus, after: BreakerStatus) -> None:
        if after.open_until is not None:
            self.store.timer((after.open_until - BEGAN).total_seconds())
        if before.state != "closed" and after.state == "closed":
            words = {barrier.open_words(name), barrier.probe_words(name)}
            for step in list(self.store.by_state[State.QUEUED].values()):
                if step.waits_for in words:
                    self.store.queue(step, wait_s=0.0)

    def half_open_due(self) -> None:
        now = self.store.datetime()
        for name, one in self.store.breakers.items():
            if one.state == "open" and breaker.is_probed(one, now):
                self.store.breakers[name] = breaker.half_opened(one)

    def ration(
        self, again: Sequence[tuple[Done, float]], finished: Sequence[Done]
    ) -> dict[UUID, tuple[float, str]]:
        """``budgets.ration``: step → delay and what it waits for."""
        earned = Counter(
            d.act.step.tool.full_name
            for d in finished
            if d.reply.ending in {Ending.ANSWERED, Ending.REFUSED}
        )
        rows: dict[UUID, tuple[float, str]] = {}
        names = {d.act.step.tool.full_name: None for d, _ in again} | dict.fromkeys(earned)
        for name in names:
            mine = [(d, s) for d, s in again if d.act.step.tool.full_name == name]
            tokens = self.store.budgets.get(name, budget.CAPACITY)
            costs = [_cost(d) for d, _ in mine]
            left, allowed = budget.settle(tokens, costs=costs, successes=earned[name])
            self.store.budgets[name] = left
            for (done, delay_s), has in zip(mine, allowed, strict=True):
                cap_s = done.act.step.tool.terms.retry.cap_s
                later = budget.later_s(cap_s, self.rng.random())
                told = ("", delay_s) if has else (budget.words(name), max(delay_s, later))
                rows[done.act.step.id] = (told[1], told[0])
        return rows

    # --- parked -------------------------------------------------------------------------------

    def wake_freed(self) -> None:
        """``barriers.wake_freed`` and ``unpark_resumed``."""
        found = self.in_force()
        for step in list(self.store.by_state[State.QUEUED].values()):
            if step.not_before < FOR_EVER:
                continue
            block = self.block_of(found, step)
            if step.waits_for == WAITS_FOR_RESUME and step.run.paused:
                continue
            if block is None or block.retry_in_s is not None:
                self.store.queue(step, wait_s=0.0)
            else:
                step.waits_for = block.waits_for

    def park_due(self) -> None:
        """``barriers.park_due``: at once, when a stop is placed."""
        found, now = self.in_force(), self.store.clock()
        for step in list(self.store.by_state[State.QUEUED].values()):
            block = self.block_of(found, step) if step.not_before <= now else None
            if block is not None and block.retry_in_s is None:
                self.store.park(step, block.waits_for, None)


def _opens_in(one: BreakerStatus, now: datetime) -> float | None:
    if one.state == "half_open":
        return 0.0
    if one.manual or one.open_until is None:
        return None
    return (one.open_until - now).total_seconds()


def _cost(done: Done) -> float:
    timed_out = done.reply.error_class == "timeout"
    return budget.cost(timed_out=timed_out, told_when=done.reply.retry_after_s is not None)


def _is_first(step: Step) -> bool:
    return step.compensates is not None or step.approval_id is not None


def _who(step: Step) -> Who:
    return Who(step.tool.full_name, step.run.job, step.run.agent)


def _pairs(step: Step) -> list[tuple[str, str]]:
    return [("tool", step.tool.full_name), ("job", step.run.job), ("agent", step.run.agent)]


def _own(step: Step) -> RateLimit | None:
    rate = step.tool.terms.rate_per_minute
    return own_pace(step.run.job, step.tool.name, rate if rate < 1000 else None)
