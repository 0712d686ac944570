"""A thousand steps that wait a second each, at once, in one worker process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks import ours
from tests.benchmarks.children import Crew
from tests.benchmarks.ours import DutyError
from tests.benchmarks.scale import Scale
from tests.benchmarks.usage import resident_mb

Say = Callable[[str], None]
AT_ONCE = 1_000
HANGING = 20  # calls that never answer, each ended by the time-out of its own
HANG_TIMEOUT_S = 2.0  # as the contract says

SPAN = """
select extract(epoch from min(a.started_at)), extract(epoch from max(a.ended_at)), count(*)
from runs_attempt a join runs_step s on s.id = a.step_id
where a.run_id = any(%s) and a.outcome = 'ok' and s.tool_name = 'wait'
"""
# How many calls were on their way at the busiest moment.
PEAK = """
select max(flying) from (
    select sum(change) over (order by at, change) as flying from (
        select started_at as at, 1 as change from runs_attempt where run_id = any(%(ids)s)
        union all select ended_at, -1 from runs_attempt where run_id = any(%(ids)s)) as changes
) as counted
"""
HUNG = """
select count(*), min(a.duration_ms), max(a.duration_ms)
from runs_attempt a join runs_step s on s.id = a.step_id
where a.run_id = any(%s) and s.tool_name = 'hang' and a.error_class = 'timeout'
"""


class Watch(threading.Thread):
    """Notes the largest resident set of a process and its children, ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.most_mb = 0.0
        self.samples: list[tuple[float, float]] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            now = resident_mb(self.pid)
            self.samples.append((time.monotonic(), now))
            self.most_mb = max(self.most_mb, now)

    def end(self) -> float:
        self._ended.set()
        self.join()
        return self.most_mb


def measure(env: dict[str, str], scale: Scale, say: Say) -> dict[str, Any]:
    """Steps a second from the first call's start to the last one's end, ramp included."""
    told = {"TOWER_IN_FLIGHT": str(AT_ONCE + HANGING), "TOWER_DRAIN_SECONDS": "180"}
    waits = [ours.call("wait", n=n, seconds=1) for n in range(scale.waiting_waves)]
    hang = [ours.call("hang", n=0, seconds=600), {"done": "x"}]
    with Crew(env | told) as crew:
        worker = crew.worker()
        ours.start([[ours.call("wait", n=0, seconds=0), {"done": "x"}]], job="bench-waiting")
        ours.wait_until_done(seconds=60)
        watch = Watch(worker.pid)
        watch.start()
        runs = ours.start_many([*waits, {"done": "x"}], AT_ONCE, job="bench-waiting")
        hung = ours.start_many(hang, HANGING, job="bench-waiting")
        ours.wait_until_done(seconds=60 + scale.waiting_waves * 4)
        rss = watch.end()
    ours.clear_bells()
    first, last, steps = ours.query(SPAN, [runs])[0]
    if steps != AT_ONCE * scale.waiting_waves:
        raise DutyError(
            f"{steps} of {AT_ONCE * scale.waiting_waves} waiting steps were carried out"
        )
    peak = int(ours.query(PEAK, {"ids": runs})[0][0])
    ended, soonest, latest = ours.query(HUNG, [hung])[0]
    if ended != HANGING or soonest < HANG_TIMEOUT_S * 1000 * 0.95:
        raise DutyError(f"{ended} of {HANGING} hanging calls ended by their own time-out")
    rate = steps / float(last - first)
    say(f"  {rate:,.0f} steps/s, {peak} at once, {rss:.0f} MB; {ended} time-outs of their own")
    return {
        "steps_per_second": rate,
        "rss_mb": rss,
        "steps": steps,
        "at_once": peak,
        "own_timeouts": {"calls": ended, "soonest_ms": soonest, "latest_ms": latest},
    }
