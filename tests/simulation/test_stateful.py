"""Hypothesis chooses what happens next in a world, and shrinks what it finds to a few steps."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apps.runs.domain.barrier import StopScope
from apps.runs.domain.states import TERMINAL
from tests.simulation.world import DOMAIN, World

TOOLS = st.sampled_from(["t1", "t2", "t3"])


class Nemesis(RuleBasedStateMachine):
    """Everything that a person or the night can do to a tower, in any order."""

    world: World

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = World(seed)

    def _pick(self, number: int, some: Any) -> Any:
        some = list(some)
        return some[number % len(some)]

    @rule(events=st.integers(1, 40))
    def time_goes_by(self, events: int) -> None:
        for _ in range(events):
            self.world.step()

    @rule(number=st.integers(0, 2))
    def a_worker_dies(self, number: int) -> None:
        self._pick(number, self.world.workers).crash()

    @rule(number=st.integers(0, 2), for_s=st.floats(1.0, 120.0))
    def a_worker_sleeps(self, number: int, for_s: float) -> None:
        self._pick(number, self.world.workers).sleep(for_s)

    @rule(number=st.integers(0, 2))
    def a_worker_is_told_to_stop(self, number: int) -> None:
        worker = self._pick(number, self.world.workers)
        if worker.alive:
            worker.stop()

    @rule(for_s=st.floats(0.5, 50.0))
    def the_database_goes_away(self, for_s: float) -> None:
        self.world.db_away.append((self.world.now, self.world.now + for_s))

    @rule(tool=TOOLS, share=st.sampled_from([0.0, 0.5, 1.0]))
    def a_tool_fails(self, tool: str, share: float) -> None:
        self.world.tools.faultiness[tool] = share

    @precondition(lambda self: self.world.store.runs)
    @rule(number=st.integers(0, 9), what=st.sampled_from(["cancel", "pause", "undo", "resume"]))
    def a_person_interferes(self, number: int, what: str) -> None:
        run = self._pick(number, self.world.store.runs.values())
        getattr(self.world.people, what)(run)

    @rule(tool=TOOLS)
    def a_person_stops_a_tool(self, tool: str) -> None:
        self.world.people.place_stop(StopScope.TOOL, f"{DOMAIN}/{tool}")

    @rule(tool=TOOLS)
    def a_person_opens_a_breaker(self, tool: str) -> None:
        self.world.people.open_breaker(f"{DOMAIN}/{tool}")

    @invariant()
    def nothing_is_both_over_and_leased(self) -> None:
        for step in self.world.store.steps.values() if hasattr(self, "world") else ():
            assert step.token is None or step.state not in TERMINAL

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.run()


TestNemesis = Nemesis.TestCase
TestNemesis.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
