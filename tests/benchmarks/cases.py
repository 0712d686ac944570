"""The cases in their order; each gives one section of the report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks import environments, machine, ours, throughput
from tests.benchmarks.ground import Ground
from tests.benchmarks.scale import SCALES, Scale

Say = Callable[[str], None]


def run(
    wanted: Sequence[str],
    *,
    ground: Ground,
    env: dict[str, str],
    given: argparse.Namespace,
    say: Say,
) -> dict[str, Any]:
    """Carry out the wanted cases and give all their numbers."""
    scale: Scale = SCALES[given.scale]
    ours.prepare()
    found: dict[str, Any] = {
        "scale": given.scale,
        "machine": machine.described(),
        "versions": {"ours": machine.versions()},
        "postgresql": ground.settings(),
        "cases": {},
    }
    if "throughput" in wanted:
        for peer in given.contenders:
            if peer != "ours":
                found["versions"][peer] = environments.versions_of(peer)
        say("[bold]Durable steps per second")
        found["cases"]["throughput"] = throughput.measure(
            ground, env, scale, say, only=given.contenders
        )
    return found
