"""How much of everything: a full benchmark, or a quick one that shows that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    rounds: int  # interleaved rounds of the throughput case
    our_runs: int  # of ten steps, a round
    peer_runs: int
    floor_rows: int  # one-row transactions a round
    waiting_waves: int  # of 1,000 steps that wait a second each
    latency_samples: int
    cold_samples: int
    backlog_runs: int
    policy_batches: int
    live_seconds: float
    live_sockets: int
    events: int


FULL = Scale(
    rounds=5,
    our_runs=3_000,
    peer_runs=240,
    floor_rows=8_000,
    waiting_waves=12,
    latency_samples=100,
    cold_samples=8,
    backlog_runs=100_000,
    policy_batches=60,
    live_seconds=60,
    live_sockets=200,
    events=100_000,
)
QUICK = Scale(
    rounds=2,
    our_runs=400,
    peer_runs=60,
    floor_rows=1_000,
    waiting_waves=4,
    latency_samples=20,
    cold_samples=2,
    backlog_runs=3_000,
    policy_batches=15,
    live_seconds=12,
    live_sockets=40,
    events=10_000,
)
SCALES = {"full": FULL, "quick": QUICK}
