"""The result for people (tables) and for machines (``var/bench.json``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controltower.launch import files
from tests.benchmarks.ground import OUTPUT

TARGETS = {
    "ratios.dbos": (">=", 10.0),
    "ratios.langgraph": (">=", 5.0),
    "ratios.commit_floor": (">=", 1.0),
    "latency.start_p50_ms": ("<=", 50.0),
    "latency.start_p95_ms": ("<=", 150.0),
    "latency.approve_p95_ms": ("<=", 150.0),
    "waiting.steps_per_second": (">=", 900.0),
    "waiting.rss_mb": ("<=", 300.0),
    "policy.ms_per_decision": ("<=", 0.3),
    "live.event_to_socket_p95_ms": ("<=", 500.0),
}
APART = ("policy", "events", "live", "backlog")  # cases that are sections of their own
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def say(text: str) -> None:
    """Tell whoever waits at the terminal how far things are."""
    console.print(text)


def document(found: Mapping[str, Any]) -> dict[str, Any]:
    """What ``var/bench.json`` says. The sections ``ratios``, ``latency`` and ``waiting`` always
    have their keys; a number is null when its case was never run."""
    cases = found["cases"]
    throughput, latency = cases.get("throughput", {}), cases.get("latency", {})
    ratios, waiting = throughput.get("ratios", {}), cases.get("waiting", {})
    start, approve = latency.get("start", {}), latency.get("approve", {})
    return {
        "ratios": {k: _round(ratios.get(k)) for k in ("dbos", "langgraph", "commit_floor")},
        "latency": {
            "start_p50_ms": _round(start.get("p50_ms")),
            "start_p95_ms": _round(start.get("p95_ms")),
            "approve_p95_ms": _round(approve.get("p95_ms")),
        },
        "waiting": {
            "steps_per_second": _round(waiting.get("steps_per_second")),
            "rss_mb": _round(waiting.get("rss_mb")),
        },
        "policy": cases.get("policy"),
        "events": cases.get("events"),
        "live": cases.get("live"),
        "backlog": cases.get("backlog"),
        "detail": {k: cases.get(k) for k in ("throughput", "latency", "waiting")},
        "measured": found["measured"],
        "scale": found["scale"],
        "machine": found["machine"],
        "versions": found["versions"],
        "postgresql": found["postgresql"],
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def with_earlier(found: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """``found`` completed with the cases that only an earlier run measured; ``measured`` says of
    each case when, on which commit and at which scale."""
    known = {**(earlier.get("detail") or {}), **{k: earlier.get(k) for k in APART}}
    stamps = earlier.get("measured") or {}
    kept = {k: v for k, v in known.items() if v is not None and k in stamps}
    return {
        **found,
        "cases": {**kept, **found["cases"]},
        "measured": {**{k: stamps[k] for k in kept}, **found["measured"]},
        "versions": {**(earlier.get("versions") or {}), **found["versions"]},
    }


def finish(found: Mapping[str, Any], output: Path = OUTPUT) -> None:
    """Write the file and print the tables."""
    told = document(with_earlier(found, files.read_json(output)))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n")
    if rows := (told["detail"]["throughput"] or {}).get("contenders"):
        console.print(_contenders(rows))
    console.print(_targets(told))
    machine, postgresql = told["machine"], told["postgresql"]
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB;"
        f" Python {machine['python']}, PostgreSQL {postgresql['server_version']}"
        f" (fsync {postgresql['fsync']}, synchronous_commit {postgresql['synchronous_commit']});"
        f" load before: {machine['load_before']}; commit {machine['commit']}; scale {told['scale']}"
    )
    for name, versions in told["versions"].items():
        console.print(f"{name}: " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    for case, error in found.get("failed", {}).items():
        console.print(f"[red]The case “{case}” failed and was left out[/]: {escape(error)}")
    console.print(f"Written to {output}")


def _contenders(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title="Durable steps per second (medians of interleaved rounds)")
    table.add_column("contender")
    table.add_column("best configuration")
    for name in ("steps/s", "ours is", "commits/step", "statements/step", "CPU ms/step"):
        table.add_column(name, justify="right")
    mine = rows.get("Control Tower", {}).get("steps_per_second")
    for name, row in rows.items():
        rate = row["steps_per_second"]
        table.add_row(
            name,
            row["configuration"],
            f"{rate:,.0f}",
            f"{mine / rate:.2f} times" if mine else "",
            f"{row['commits_per_step']:.3f}",
            f"{row['statements_per_step']:.2f}",
            f"{row['cpu_ms_per_step']:.2f}",
        )
    return table


def _targets(told: Mapping[str, Any]) -> Table:
    table = Table(title="What was to be reached")
    for name in ("figure", "wanted", "measured", ""):
        table.add_column(name, justify="right" if name in {"wanted", "measured"} else "left")
    for path, (sign, bound) in TARGETS.items():
        section, _, key = path.partition(".")
        value = (told[section] or {}).get(key)
        if value is None:
            table.add_row(path, f"{sign} {bound:g}", "not run", "")
            continue
        reached = value >= bound if sign == ">=" else value <= bound
        mark = "[green]reached[/]" if reached else "[red]missed[/]"
        table.add_row(
            path, f"{sign} {bound:g}", f"{value:,.3g}" if value < 10 else f"{value:,.0f}", mark
        )
    return table


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
