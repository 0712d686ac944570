"""A thousand seeds hold, a seed reproduces, and planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from apps.runs.domain.states import State
from apps.runs.domain.suspicion import CRASH_POINTS, GUILTY
from tests.simulation.__main__ import tell, try_seeds
from tests.simulation.bugs import BUGS, planted
from tests.simulation.rows import Step
from tests.simulation.watch import ViolationError
from tests.simulation.world import World

SEEDS = 1000
FOUND_WITHIN = 400
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, 250))
def test_everything_holds_in_many_worlds(first: int) -> None:
    tally = try_seeds(first, 250)

    for seed, _ in tally.failed[:1]:
        tell(seed)
    assert tally.failed == []
    assert tally.effects > 250


def is_made_again(step: Step) -> bool:
    """Whether another step of its run tried the same before, and certainly did nothing."""
    return step.disposition == "executed" and any(
        s.disposition == "failed" and s.key == step.key for s in step.run.steps if s.seq < step.seq
    )


def test_much_happens_in_these_worlds() -> None:
    seen: Counter[str] = Counter()
    for seed in range(300):
        world = World(seed, quiet=True).run()
        for run in world.store.runs.values():
            seen[f"run {run.state}"] += 1
            for step in run.steps:
                seen[f"{step.disposition} {step.error_class}".strip()] += 1
                seen["held unknown"] += step.is_unknown and step.disposition == "executed"
                seen["made after it had failed"] += is_made_again(step)
                seen["undone"] += step.compensates is not None and step.state is State.SUCCEEDED
        for attempt in world.store.attempts.values():
            seen[f"attempt {attempt.outcome}"] += 1
        seen["looked up"] += list(world.store.receipts.values()).count("lookup")
    rare = [
        "run compensated", "run cancelled", "run shed", "run succeeded", "run failed", "executed",
        "deduplicated", "rejected rejected", "expired expired", "refused_by_tool refused_by_tool",
        "failed deadline", "failed not_done", "failed http_429", "undone", "attempt lease_lost",
        "attempt retryable", "attempt unknown", "looked up", "failed http_401", "held unknown",
        "made after it had failed",
    ]  # fmt: skip
    assert {name: seen[name] for name in rare if seen[name] < 5} == {}


def test_kills_from_outside_make_no_step_poison() -> None:
    """And a step that crashes its workers is found in few of them."""
    kills, found = 0, []
    for seed in range(400):
        world = World(seed, quiet=True)
        world.faults |= {"after_lease": 0.08, "after_intent": 0.08, "after_call": 0.08}
        is_deadly, last = world.kills, GUILTY - CRASH_POINTS

        def kills_and_tells(step: Step, is_deadly: Any = is_deadly, last: int = last) -> bool:
            if is_deadly(step) and step.blame >= last:
                found.append(step.losses + 1)
            return bool(is_deadly(step))

        world.kills = kills_and_tells  # type: ignore[method-assign]
        world.run()
        if not world.poison:
            kills += sum(w.epoch for w in world.workers)
            steps = [s for run in world.store.runs.values() for s in run.steps]
            assert [s.name for s in steps if s.error_class == "poison"] == [], seed
    assert kills > 1000
    assert len(found) > 5
    assert max(found) <= 12


def test_a_seed_is_told_alike_twice() -> None:
    assert World(7).run().told() == World(7).run().told()
    assert World(7).run().fingerprint() != World(8).run().fingerprint()


def test_a_seed_is_told_alike_in_another_process() -> None:
    code = (
        "from tests.simulation.world import World;"
        "print(*(World(s).run().fingerprint() for s in range(5)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "4711"}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert told.stdout.split() == [World(s).run().fingerprint() for s in range(5)]


def test_a_planted_bug_is_told_with_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    with planted("receipts are forgotten"):
        seed, problem = try_seeds(0, 10).failed[0]
        broken = tell(seed)

    assert broken == problem
    assert broken.startswith("I3 ")
    assert broken in capsys.readouterr().out


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    with planted(bug):
        assert BUGS[bug][1] in _found(FOUND_WITHIN, BUGS[bug][1])


def _found(seeds: int, wanted: str) -> set[str]:
    found: set[str] = set()
    for seed in range(seeds):
        try:
            World(seed, quiet=True).run()
        except ViolationError as error:
            found.add(error.invariant)
            if wanted in found:
                break
    return found
