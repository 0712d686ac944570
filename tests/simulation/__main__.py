"""``python -m tests.simulation``: many seeds, or one told line by line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.watch import ViolationError
from tests.simulation.world import World

PROCESSES = 2
CHUNK = 250
LAST_LINES = 60


@dataclass(slots=True)
class Tally:
    """What some seeds came to."""

    seeds: int = 0
    events: int = 0
    effects: int = 0
    cpu_s: float = 0.0
    failed: list[tuple[int, str]] = field(default_factory=list)


def try_seeds(first: int, count: int) -> Tally:
    """Run ``count`` worlds, one seed after the other."""
    tally, began = Tally(), time.process_time()
    for seed in range(first, first + count):
        world = World(seed, quiet=True)
        try:
            world.run()
        except ViolationError as error:
            tally.failed.append((seed, str(error)))
        tally.seeds += 1
        tally.events += world.events
        tally.effects += len(world.tools.ledger)
    tally.cpu_s = time.process_time() - began
    return tally


def tell(seed: int, *, last: int | None = None) -> str | None:
    """Print what happens in one world; returns what doesn't hold."""
    world, broken = World(seed), None
    try:
        world.run()
    except ViolationError as error:
        broken = str(error)
    lines = world.told().splitlines()
    hidden = max(0, len(lines) - last) if last else 0
    print(f"--- seed {seed}" + (f", the last {last} of {len(lines)} lines" if hidden else ""))  # noqa: T201
    print("\n".join(lines[hidden:]))  # noqa: T201
    for run in world.store.runs.values():
        steps = ", ".join(f"{s.tool.name} {s.disposition or s.state}" for s in run.steps)
        print(f"    {run.name} {run.state}: {steps}")  # noqa: T201
    print(f"--- {broken or 'everything holds'}; fingerprint {world.fingerprint()[:16]}")  # noqa: T201
    return broken


def run_many(first: int, count: int) -> int:
    """Spread the seeds over two processes; returns the exit code."""
    began = time.monotonic()
    starts = range(first, first + count, CHUNK)
    with ProcessPoolExecutor(min(PROCESSES, os.cpu_count() or 1)) as pool:
        tallies = list(pool.map(try_seeds, starts, [min(CHUNK, first + count - s) for s in starts]))
    wall_s = time.monotonic() - began
    cpu_s, events = sum(t.cpu_s for t in tallies), sum(t.events for t in tallies)
    effects = sum(t.effects for t in tallies)
    print(  # noqa: T201
        f"{count:,} seeds from {first:,}: {events:,} events, {effects:,} effects;"
        f" {wall_s:.1f} s, {count / wall_s:,.0f} seeds/s, {cpu_s:.1f} s of CPU"
    )
    failed = [f for t in tallies for f in t.failed]
    for seed, problem in failed[:20]:
        print(f"seed {seed}: {problem}")  # noqa: T201
    if failed:
        tell(failed[0][0], last=LAST_LINES)
        print(f"{len(failed)} seeds failed; again: make simulate SEED={failed[0][0]}")  # noqa: T201
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, told line by line")
    asked = parser.parse_args()
    if asked.seed is not None:
        return 1 if tell(asked.seed) else 0
    return run_many(asked.first, asked.seeds)


if __name__ == "__main__":
    sys.exit(main())
