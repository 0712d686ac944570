"""One simulated world: a clock that jumps from event to event, and one seed for all that happens.

Which faults there are, and how often, differs from seed to seed (swarm testing: A. Groce et al.,
ISSTA 2012): a fault that never happens lets others get further. After ``CALM_AT`` nothing goes
wrong any more and people tidy up; then everything has to come to its end.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

from apps.calls.domain.admission import Accept, Class, Defer
from apps.calls.domain.caps import CapLimits
from apps.calls.domain.limiter import LEAST, Limiter
from apps.catalog.domain.contract import NO_RATE, Compensation, Limits, RetryPolicy, ToolUse
from apps.oversight.domain.binding import binding, binding_digest
from apps.runs.domain.barrier import StopScope
from apps.runs.domain.states import State
from tests.simulation import sweep as sweeping
from tests.simulation.barriers import Bounds
from tests.simulation.engine import Engine
from tests.simulation.people import People
from tests.simulation.rows import DOMAIN, Run, Step, Tool
from tests.simulation.store import Store
from tests.simulation.tools import ERRORS, FAULTS, SILENT, ToolServer
from tests.simulation.watch import ViolationError, Watch
from tests.simulation.worker import Worker

SWEEP_S = 5.0
CALM_AT = 400.0
MOST_EVENTS = 20_000
POINTS = ("after_lease", "after_intent", "after_call", "after_commit")
JOBS = ("j0", "j1")
AGENTS = ("a0", "a1")


class World:
    """Everything there is. ``run`` lets it happen; ``trace`` tells what did."""

    def __init__(self, seed: int, *, quiet: bool = False) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now = 0.0
        self.events = 0
        self.heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.trace: list[tuple[float, str, str, str]] | None = None if quiet else []
        self.ids = 0
        self.counter = 0
        self.sweeps: set[float] = set()
        self.digests: dict[UUID, str] = {}
        self.is_calm = False
        self._choose_faults()
        self.store = Store(lambda: self.now, self.want_sweep)
        self.watch = Watch(self)
        self.store.watch = self.watch
        tools = self._tools()
        self.bounds = Bounds(self.store, self.rng, self._caps())
        wanted = {"j0": ("t1", "t2"), "j1": ()}
        most = Limits(steps=self.rng.choice((2, 60, 60, 60)))
        self.engine = Engine(
            self.store, self.bounds, tools, wanted, self.rng, self.new_id, lambda s: self.ask(s),
            most,
        )  # fmt: skip
        self.tools = ToolServer(
            self, self._faultiness(tools), self.rng.choice((frozenset(), frozenset({1})))
        )
        if self.rng.random() < 0.2:
            self.store.budgets = {t.full_name: self.rng.uniform(0.0, 12.0) for t in tools.values()}
        self.people = People(self)
        self.ask = self.people.asked
        self.workers = [Worker(self, f"w{i}") for i in range(self.rng.randint(1, 3))]
        self._plan_runs()
        self._plan_trouble()
        self.after(CALM_AT, self._calm)

    # --- choices ------------------------------------------------------------------------------

    def _choose_faults(self) -> None:
        rng = self.rng
        names = (*POINTS, "commit_fails", "commit_reply_lost", "bell_lost", "naps")
        self.faults = {n: rng.choice((0.0, 0.0, 0.03, 0.15)) for n in names}
        kinds = [*FAULTS, *SILENT, *ERRORS]
        self.modes = rng.sample(kinds, rng.randint(1, len(kinds)))
        self.conflicts = rng.random() < 0.5
        self.room = rng.choice((1, 2, 8))
        self.slowest_s = rng.choice((0.5, 0.5, 12.0))
        self.crowd = rng.random() < 0.2  # many runs at once, most of them calling one tool
        self.patience = rng.choice((0.1, 0.5, 2.0))
        self.nobody_decides = rng.random() < 0.1
        self.asks = {"j0": rng.choice((0.0, 1.0)), "j1": 0.0}
        self.queue_bounds = {
            c: (3 - c + 1) * rng.choice((1, 20)) for c in (Class.C3, Class.C2, Class.C1)
        }
        least = 0
        for cls in (Class.C3, Class.C2, Class.C1):  # bounds must not shrink with importance
            least = self.queue_bounds[cls] = max(least, self.queue_bounds[cls])
        self.poison = {rng.randint(1, 3)} if rng.random() < 0.1 else set()
        self.kills_late = rng.random() < 0.5  # when the call has been sent already
        self.db_away: list[tuple[float, float]] = []
        if rng.random() < 0.3:
            for _ in range(rng.randint(1, 4)):
                start = rng.uniform(0.0, 200.0)
                self.db_away.append((start, start + rng.uniform(0.5, 45.0)))

    def _tools(self) -> dict[str, Tool]:
        rng = self.rng
        tools = {}
        kinds = {"t0": "none", "t1": "keyed", "t2": "none", "t3": "lookup"}
        for name, idempotency in kinds.items():
            undo = f"u{name[1]}" if name in {"t1", "t2"} and rng.random() < 0.8 else ""
            tools[name] = self._tool(name, idempotency, undo)
            if undo:
                kind = rng.choice(("keyed", "none", "lookup"))
                tools[undo] = self._tool(undo, kind, "")
        return tools

    def _tool(self, name: str, idempotency: str, undo: str) -> Tool:
        rng = self.rng
        retry = RetryPolicy(rng.choice((1, 2, 4)), 0.5, rng.choice((5.0, 30.0)))
        terms = ToolUse(
            name,
            timeout_s=rng.choice((2.0, 15.0)),
            retry=retry,
            concurrency=rng.choice((1, 2, 16)),
            rate_per_minute=rng.choice((NO_RATE, NO_RATE, 20)),
            repeatable=name != "t0" and rng.random() < 0.15,
            compensation=Compensation(undo) if undo else None,
        )
        policy = "permit" if name[0] == "u" else rng.choice(("permit", "permit", "hold", "deny"))
        effect = "read" if name == "t0" else rng.choice(("write", "irreversible"))
        risk = rng.randint(1, 4)
        preview = rng.random() < 0.4
        return Tool(name, effect, idempotency, policy, risk, rng.choice((1, 2)), preview, terms)

    def _caps(self) -> list[CapLimits]:
        rng, caps = self.rng, []
        if rng.random() < 0.3:
            caps.append(CapLimits("tool", f"{DOMAIN}/t1", rng.randint(1, 2), None))
        if rng.random() < 0.2:
            caps.append(CapLimits("job", "j0", rng.randint(1, 2), rng.choice((None, 30))))
        return caps

    def _faultiness(self, tools: dict[str, Tool]) -> dict[str, float]:
        return {name: self.rng.choice((0.0, 0.1, 0.4, 0.95)) for name in tools}

    def _plan_runs(self) -> None:
        rng = self.rng
        favourite = (rng.choice(("t1", "t2", "t3")),) * (6 if self.crowd else 0)
        names = ("t0", "t1", "t1", "t2", "t2", "t3", *favourite)
        for number in range(1, rng.randint(8, 14) if self.crowd else rng.randint(2, 7)):
            items: list[dict[str, Any]] = [{"hear": "please"}]
            for _ in range(rng.randint(1, 4)):
                call = {"tool": rng.choice(names), "args": {"n": rng.randint(1, 3)}}
                items.append({"call": call})
            items.append({"done": "done"})
            deadline_s = rng.choice((30.0, 300.0, 3000.0))
            cls = rng.choice((Class.C0, Class.C1, Class.C2, Class.C3))
            run_id = UUID(int=rng.getrandbits(128))
            run = Run(
                run_id, f"r{number}", rng.choice(JOBS), rng.choice(AGENTS), cls, items,
                deadline_s, 0.0, run_id,
            )  # fmt: skip
            at = 0.0 if self.crowd else rng.choice((0.0, rng.uniform(0.0, 60.0)))
            self.after(at, self._arrive, run)
        if self.crowd and rng.random() < 0.7:
            self.tools.faultiness[favourite[0]] = 0.95

    def _plan_trouble(self) -> None:
        rng = self.rng
        for worker in self.workers:
            self.after(0.0, worker.tick)
            self._plan_trouble_of(worker)
        if rng.random() < 0.3:
            self.after(rng.uniform(0.0, 100.0), self._trouble, self._stop_something)
        if rng.random() < 0.2:
            name = f"{DOMAIN}/{rng.choice(('t1', 't2'))}"
            latest = 2.0 if self.crowd else 100.0
            self.after(rng.uniform(0.0, latest), self._trouble, self.people.open_breaker, name)
        for _ in range(rng.choice((0, 0, 0, 3))):
            self.after(rng.uniform(0.0, 100.0), self._trouble, self._fail_a_lot)

    def _plan_trouble_of(self, worker: Worker) -> None:
        rng = self.rng
        for kind, mean in ((worker.crash, 100.0), (worker.stop, 200.0)):
            if rng.random() < 0.3:
                self.after(rng.expovariate(1 / mean), self._trouble, kind)
        if rng.random() < 0.3:
            for_s = rng.choice((1.0, 20.0, 60.0, 120.0))
            self.after(rng.uniform(0.0, 100.0), self._trouble, worker.sleep, for_s)

    def _trouble(self, what: Callable[..., None], *args: Any) -> None:
        if not self.is_calm:
            what(*args)

    def _stop_something(self) -> None:
        scope = self.rng.choice(tuple(StopScope))
        target = {
            StopScope.TOOL: f"{DOMAIN}/{self.rng.choice(('t1', 't2', 't3'))}",
            StopScope.AGENT: self.rng.choice(AGENTS),
            StopScope.JOB: self.rng.choice(JOBS),
            StopScope.EVERYTHING: "",
        }[scope]
        self.people.place_stop(scope, target)

    def _fail_a_lot(self) -> None:
        name = self.rng.choice(("t1", "t2", "t3"))
        self.tools.faultiness[name] = 0.95
        self.log("nemesis", f"{name} fails a lot")

    def _arrive(self, run: Run) -> None:
        """``starting._start``."""
        run.deadline_at = self.now + run.deadline_s
        self.store.runs[run.id] = run
        self.store.timer(run.deadline_at + 0.001)
        verdict = sweeping.verdict_on(self, run)
        if isinstance(verdict, Accept):
            self.log("start", run.name, run.cls.name)
            self.engine.begin(run)
            self.ring()
            self._plan_control(run)
        elif run.cls is Class.C0:
            raise ViolationError("C0", run.name, f"not taken in: {verdict}")
        elif isinstance(verdict, Defer):
            self.log("start", f"{run.name} deferred", verdict.reason)
            run.state, run.deferred_until = State.ACCEPTED, self.now + verdict.for_s
            self.want_sweep(run.deferred_until)
        else:
            self.log("start", f"{run.name} shed", verdict.reason)
            run.state = State.SHED

    def _plan_control(self, run: Run) -> None:
        rng, people = self.rng, self.people
        cancel_s = rng.choice((60.0, 400.0))
        for what, share, most in (
            (people.cancel, 0.15, cancel_s), (people.pause, 0.15, 60.0), (people.undo, 0.4, 300.0),
        ):  # fmt: skip
            if rng.random() < share:
                self.after(rng.uniform(0.0, most), what, run)

    def _calm(self) -> None:
        """Nothing goes wrong from here on, and whoever can go on does."""
        self.log("calm", "from here on")
        self.is_calm = True
        self.faults = dict.fromkeys(self.faults, 0.0)
        self.tools.faultiness = {}
        self.poison = set()
        self.nobody_decides = False
        for worker in self.workers:
            worker.asleep_until = self.now
        for run in self.store.runs.values():
            self.people.resume(run)
        self.want_sweep(self.now)

    # --- what others ask ----------------------------------------------------------------------

    def new_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    def bound(self, step: Step) -> str:
        """The digest that an approval of this step is bound to."""
        if step.id not in self.digests:
            self.digests[step.id] = binding_digest(
                binding(
                    tool=step.tool.full_name, tool_fingerprint="", contract_digest="",
                    policy_digest="", agent=step.run.agent, subject="", arguments=step.arguments,
                    run_id=str(step.run.id),
                )
            )  # fmt: skip
        return self.digests[step.id]

    def kills(self, step: Step) -> bool:
        """Whether this call takes its worker with it."""
        return bool(self.poison) and step.arguments.get("n") in self.poison and step.mutates

    def db_is_down(self) -> bool:
        return any(start <= self.now < end for start, end in self.db_away)

    def check_limiter(self, limiter: Limiter) -> None:
        if not LEAST <= limiter.limit <= max(LEAST, limiter.ceiling):
            raise ViolationError("limit", "limiter", str(limiter))

    # --- time ---------------------------------------------------------------------------------

    def after(self, delay_s: float, what: Callable[..., None], *args: Any) -> None:
        self.counter += 1
        heapq.heappush(self.heap, (self.now + delay_s, self.counter, what, args))

    def want_sweep(self, at: float) -> None:
        """The sweep runs every five seconds; those rounds are left out that find nothing."""
        if at >= 1e9:
            return
        round_at = (max(at, self.now) // SWEEP_S + 1) * SWEEP_S
        if round_at not in self.sweeps:
            self.sweeps.add(round_at)
            self.after(round_at - self.now, self._sweep, round_at)

    def _sweep(self, round_at: float) -> None:
        self.sweeps.discard(round_at)
        if self.db_is_down():
            self.want_sweep(self.now)
        else:
            sweeping.sweep(self)

    def ring(self, *, surely: bool = False) -> None:
        """A bell for whoever is free; one that is lost is rung again by the sweep."""
        if surely or self.rng.random() >= self.faults["bell_lost"]:
            worker = self.rng.choice(self.workers)
            worker.later(0.01, worker.tick)
        self.want_sweep(self.now)

    def log(self, who: str, what: str, more: str = "") -> None:
        if self.trace is not None:
            self.trace.append((self.now, who, what, more))

    def step(self) -> bool:
        """Let the next event happen; ``False`` when there is none left."""
        if not self.heap:
            return False
        self.now, _, what, args = heapq.heappop(self.heap)
        self.events += 1
        if self.events > MOST_EVENTS:
            raise ViolationError("I5", "world", f"no end after {MOST_EVENTS} events")
        what(*args)
        for row in self.store.dirty:
            self.people.notice(row)
        self.watch.settle()
        return True

    def run(self) -> World:
        while self.step():
            pass
        self.watch.finish()
        return self

    # --- telling ------------------------------------------------------------------------------

    def told(self) -> str:
        """What happened, line by line."""
        lines = (
            f"{t:9.3f}  {who:8} {what}  {more}".rstrip() for t, who, what, more in self.trace or ()
        )
        return "\n".join(lines)

    def fingerprint(self) -> str:
        """The same for the same seed, on any machine and in any process."""
        return hashlib.sha256(self.told().encode()).hexdigest()
