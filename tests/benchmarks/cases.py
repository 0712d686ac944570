"""The cases in their order; each gives one section of the report."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from tests.benchmarks import (
    backlog,
    environments,
    events,
    latency,
    live,
    machine,
    ours,
    policies,
    throughput,
    waiting,
)
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
    """Carry out the wanted cases and give all their numbers. A case that fails is told under
    ``failed`` and takes nothing of the others with it."""
    scale: Scale = SCALES[given.scale]
    ours.prepare()
    found: dict[str, Any] = {
        "scale": given.scale,
        "machine": machine.described(),
        "versions": {"ours": machine.versions()},
        "postgresql": ground.settings(),
        "cases": {},
        "measured": {},
        "failed": {},
    }
    peers = [p for p in given.contenders if p != "ours"] if "throughput" in wanted else []
    for peer in peers:
        found["versions"][peer] = environments.versions_of(peer)
    carried: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "throughput": (
            "Durable steps per second, tools that do nothing",
            lambda: throughput.measure(ground, env, scale, say, only=given.contenders),
        ),
        "waiting": (
            "A thousand waiting steps in one worker process",
            lambda: waiting.measure(env, scale, say),
        ),
        "latency": ("Latency on an idle system", lambda: latency.measure(env, scale, say)),
        "policy": ("Policy decisions", lambda: policies.measure(scale, say)),
        "events": ("Events delivered", lambda: events.measure(scale, say)),
        "live": ("Sockets under load", lambda: live.measure(env, scale, say)),
        "backlog": (
            "A backlog",
            lambda: backlog.measure(ground, env, given.backlog or scale.backlog_runs, say),
        ),
    }
    for case in wanted:
        title, measure = carried[case]
        say(f"[bold]{title}[/]")
        try:
            found["cases"][case] = measure()
        except Exception as error:  # whatever it is, the other cases' numbers are worth keeping
            found["failed"][case] = f"{type(error).__name__}: {error}"[:400]
            say(f"  [red]failed[/]: {escape(found['failed'][case])}")
            ours.clear_bells()
            continue
        found["measured"][case] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": found["machine"]["commit"],
            "scale": given.scale,
            "load": round(os.getloadavg()[0], 2),
        }
    return found
