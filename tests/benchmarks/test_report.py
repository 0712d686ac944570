"""The report keeps its shape: others read ``var/bench.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import report

CASES: dict[str, Any] = {
    "throughput": {
        "contenders": {
            "Control Tower": {
                "configuration": "2 workers",
                "steps_per_second": 5000.0,
                "commits_per_step": 0.03,
                "statements_per_step": 0.5,
                "cpu_ms_per_step": 0.3,
            }
        },
        "ratios": {"dbos": 10.5, "langgraph": 5.2, "commit_floor": 1.1},
    },
    "latency": {"start": {"p50_ms": 20.0, "p95_ms": 40.0}, "approve": {"p95_ms": 60.0}},
    "waiting": {"steps_per_second": 950.0, "rss_mb": 150.0},
}


def found(*names: str, at: str = "now") -> dict[str, Any]:
    return {
        "cases": {name: CASES[name] for name in names},
        "measured": {name: {"at": at} for name in names},
        "scale": "quick",
        "machine": {
            "processor": "x",
            "cores": 2,
            "memory_gb": 8,
            "python": "3",
            "load_before": 0.1,
            "commit": "abc",
        },
        "versions": {"ours": {"Django": "5"}},
        "postgresql": {"server_version": "18", "fsync": "on", "synchronous_commit": "on"},
    }


def test_full_report_has_exactly_the_promised_figures(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"

    report.finish(found("throughput", "latency", "waiting"), output)

    told = json.loads(output.read_text())
    assert told["ratios"] == {"dbos": 10.5, "langgraph": 5.2, "commit_floor": 1.1}
    assert told["latency"] == {"start_p50_ms": 20.0, "start_p95_ms": 40.0, "approve_p95_ms": 60.0}
    assert told["waiting"] == {"steps_per_second": 950.0, "rss_mb": 150.0}


@pytest.mark.parametrize("only", ["throughput", "latency", "waiting"])
def test_single_case_leaves_the_others_null_and_known_ones_stamped(
    tmp_path: Path, only: str
) -> None:
    output = tmp_path / "bench.json"
    report.finish(found("waiting", at="before"), output)

    report.finish(found(only), output)

    told = json.loads(output.read_text())
    assert told["waiting"]["steps_per_second"] == 950.0
    assert told["measured"]["waiting"]["at"] == ("now" if only == "waiting" else "before")
    assert (told["ratios"]["dbos"] is None) == (only != "throughput")
    assert (told["latency"]["start_p50_ms"] is None) == (only != "latency")


def test_a_case_that_failed_is_told_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bench.json"

    report.finish({**found("latency"), "failed": {"live": "DutyError: [3 of 200]"}}, output)

    told = json.loads(output.read_text())
    assert told["latency"]["start_p50_ms"] == 20.0
    assert told["live"] is None
    assert "“live” failed and was left out" in capsys.readouterr().out
