"""Two hundred browsers' sockets while thousands of steps a second happen."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings

from apps.audit import selectors as log
from tests.benchmarks import ours
from tests.benchmarks.children import LOGS, Crew
from tests.benchmarks.ours import DutyError
from tests.benchmarks.scale import Scale
from tests.benchmarks.site import Site, percentile, person, session_of
from tests.benchmarks.waiting import Watch

Say = Callable[[str], None]
SOCKETS_A_PERSON = 5  # as many as the site allows
RUNS_A_SECOND = 200  # of ten steps each
SETTLE_S = 12.0  # two heartbeats and a little: what was lost on the way is told by then


def measure(env: dict[str, str], scale: Scale, say: Say) -> dict[str, Any]:
    """Feed runs for a while, then compare every socket with the database."""
    with Crew(env) as crew:
        site = Site(crew)
        crew.worker()
        crew.worker()
        crew.sweeper()
        browsers = _browsers(site, scale.live_sockets)
        try:
            memory = Watch(site.process.pid)
            memory.start()
            begun, runs = time.monotonic(), _feed(scale.live_seconds)
            ours.wait_until_done(seconds=300)
            took = time.monotonic() - begun
            time.sleep(SETTLE_S)
            told = _ended(browsers)
        finally:
            browsers.kill()
            browsers.wait()
        memory.end()
    ours.clear_bells()
    delays = _delays(told["heard"])
    equal = _equal(told)
    found = {
        "sockets": scale.live_sockets,
        "steps_per_second": runs * ours.STEPS / took,
        "equal": equal,
        "frames": len(delays),
        "event_to_socket_p50_ms": percentile(delays, 0.5),
        "event_to_socket_p95_ms": percentile(delays, 0.95),
        **_growth(memory.samples, begun, took),
    }
    say(
        f"  {found['sockets']} sockets, {found['steps_per_second']:,.0f} steps/s, {equal} equal to"
        f" the database; event → socket p95 {found['event_to_socket_p95_ms']:.0f} ms;"
        f" web process {found['rss_first_mb']:.0f} → {found['rss_last_mb']:.0f} MB"
    )
    return found


def _browsers(site: Site, count: int) -> subprocess.Popen[str]:
    people = [person(f"bench-browser-{n}") for n in range(-(-count // SOCKETS_A_PERSON))]
    sessions = [session_of(one) for one in people for _ in range(SOCKETS_A_PERSON)][:count]
    cookies = [f"{settings.SESSION_COOKIE_NAME}={key}" for key in sessions]
    with (LOGS / "listeners.log").open("ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.listeners"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"url": site.url, "cookies": cookies}) + "\n")
    child.stdin.flush()
    opened = json.loads(child.stdout.readline() or "{}").get("open")
    if opened != count:
        raise DutyError(f"{opened} of {count} sockets opened; see {LOGS}/listeners.log")
    return child


def _feed(seconds: float) -> int:
    """Accept runs at an even pace; no more than the engine keeps up with."""
    begun, started = time.monotonic(), 0
    while (now := time.monotonic() - begun) < seconds:
        if started < now * RUNS_A_SECOND and ours.left() < 4 * RUNS_A_SECOND:
            started += len(ours.start([ours.ten_steps()] * 50))
        else:
            time.sleep(0.02)
    return started


def _ended(browsers: subprocess.Popen[str]) -> dict[str, Any]:
    assert browsers.stdin is not None
    assert browsers.stdout is not None
    browsers.stdin.write("\n")
    browsers.stdin.flush()
    told: dict[str, Any] = json.loads(browsers.stdout.readline())
    return told


def _equal(told: dict[str, Any]) -> int:
    """How many sockets know exactly how far each stream has come. Raises when one doesn't. Of a
    stream that nothing happened on for thousands of events (the approvals of an earlier case) the
    log tells no head any more: what a socket once heard of it is no difference."""
    heads = {stream: head for stream, head in log.heads(set(told["heads"][0])).items() if head}
    odd = [known for known in told["heads"] if not heads.items() <= known.items()]
    equal = len(told["heads"]) - len(odd)
    if odd or told["closed"]:
        odd = odd[:3]
        raise DutyError(f"sockets that differ from {heads}: {odd}; closed: {told['closed']}")
    return equal


def _delays(heard: Sequence[Sequence[tuple[int, float]]]) -> list[float]:
    """Milliseconds from each event's own time to its frame, for all sockets."""
    numbers = sorted({seq for frames in heard for seq, _ in frames})
    rows = ours.query(
        "select id, extract(epoch from at) from audit_event where id = any(%s)", [numbers]
    )
    born = {number: float(at) for number, at in rows}
    return [(at - born[seq]) * 1000 for frames in heard for seq, at in frames if seq in born]


def _growth(samples: Sequence[tuple[float, float]], begun: float, took: float) -> dict[str, float]:
    """The web process's memory in the second and in the last fifth of the busy time."""
    part = took / 5
    early = [mb for at, mb in samples if begun + part <= at < begun + 2 * part]
    late = [mb for at, mb in samples if begun + 4 * part <= at < begun + took]
    return {"rss_first_mb": statistics.median(early), "rss_last_mb": statistics.median(late)}
