"""A hundred thousand runs wait: they drain evenly, and the tower stays usable meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from uuid import uuid4

import httpx
import psycopg
from django.db import transaction

from apps.runs.journal import claiming
from tests.benchmarks import ours
from tests.benchmarks.children import Crew
from tests.benchmarks.ground import Ground
from tests.benchmarks.ours import DutyError
from tests.benchmarks.site import Site, Witness, percentile, person
from tests.benchmarks.usage import resident_mb

Say = Callable[[str], None]
CLAIM = (
    "select coalesce(sum(rows), 0), coalesce(sum(total_exec_time), 0) from pg_stat_statements"
    " where query ilike '%%skip locked%%' and query ilike '%%runs_step%%'"
)
ANY_ENGINE = 1_000  # later than any version that a run may ask for
PAGES = ("/runs/", "/approvals/")
SAMPLE_S = 2.0
OVERTAKERS = 5


@dataclass
class Sample:
    """One moment of the drain."""

    seconds: float
    left: int
    claimed: int  # steps since the last sample
    claim_us: float  # the claiming statement's time for each of them
    rss_mb: float


@dataclass
class Drained:
    """What was seen while the backlog drained."""

    samples: list[Sample] = field(default_factory=list)
    page_ms: list[float] = field(default_factory=list)
    overtaking_ms: dict[str, list[float]] = field(default_factory=dict)
    plan: list[str] = field(default_factory=list)
    left_at_plan: int = 0


def measure(ground: Ground, env: dict[str, str], runs: int, say: Say) -> dict[str, Any]:
    """The case. Raises ``DutyError`` when a run was lost on the way."""
    script = [ours.call("note", n=1), {"done": "done"}]
    begun = time.monotonic()
    ours.start_many(script, runs)
    accepting = time.monotonic() - begun
    say(f"  {runs:,} runs accepted in {accepting:.0f} s")
    plan_left, plan = ours.left(), explain_claim()
    seen = Drained(plan=plan, left_at_plan=plan_left)
    with Crew(env) as crew, ground.admin("controltower") as admin:
        site = Site(crew)
        with site.browser(person("bench-operator-0")) as browser:
            _pages(browser)  # warm-up
            workers = [crew.worker().pid, crew.worker().pid]
            crew.worker("urgent")
            crew.sweeper()
            while ours.left() == runs:  # until the workers are there
                time.sleep(0.05)
            begun = time.monotonic()
            _watch(seen, admin, browser, workers, begun)
        took = time.monotonic() - begun
    ours.clear_bells()
    return _told(seen, runs, accepting, took, say)


def _watch(
    seen: Drained,
    admin: psycopg.Connection,
    browser: httpx.Client,
    workers: list[int],
    begun: float,
) -> None:
    witness, total = Witness(), ours.left()
    before, spent = _claims(admin)
    while left := ours.left():
        now = time.monotonic()
        more, longer = _claims(admin)
        claimed, took = more - before, longer - spent
        before, spent = more, longer
        rss = max(resident_mb(pid) for pid in workers)
        mean = took * 1000 / claimed if claimed else 0.0
        seen.samples.append(Sample(now - begun, left, claimed, mean, rss))
        seen.page_ms += _pages(browser)
        due = len(seen.overtaking_ms.get("sooner", ())) < OVERTAKERS
        if due and 0.1 * total < left < 0.95 * total:
            for kind in ("sooner", "urgent"):
                seen.overtaking_ms.setdefault(kind, []).append(_overtake(witness, kind))
        time.sleep(max(0.0, SAMPLE_S - (time.monotonic() - now)))


def _pages(browser: httpx.Client) -> list[float]:
    """Milliseconds that each page takes a person."""
    found = []
    for page in PAGES:
        asked = time.perf_counter()
        if browser.get(page).status_code != 200:
            raise DutyError(f"{page} could not be shown")
        found.append((time.perf_counter() - asked) * 1000)
    return found


def _overtake(witness: Witness, kind: str) -> float:
    """Milliseconds until a run that is more urgent than the backlog reaches its tool: ``sooner``
    in the same lane with a better priority, ``urgent`` in the urgent lane."""
    mark = uuid4().hex
    begun = time.time()
    ours.start([[ours.call("look", n=1, mark=mark), {"done": "x"}]], job=f"bench-{kind}")
    return (witness.wait(mark, seconds=120) - begun) * 1000


def _claims(admin: psycopg.Connection) -> tuple[int, float]:
    row = admin.execute(CLAIM.replace("%%", "%")).fetchone()
    assert row is not None
    return int(row[0]), float(row[1])


class _SeenEnoughError(Exception):
    """Ends a transaction that was begun only to look."""


def explain_claim() -> list[str]:
    """EXPLAIN ANALYZE of the statement that finds due steps, as the engine sends it now. Nothing
    stays claimed: both transactions are rolled back."""
    caught: list[tuple[str, Any]] = []

    def catch(sql: str, params: Any) -> Any:
        if "skip locked" in sql.lower():
            caught.append((sql, params))
            raise _SeenEnoughError
        return fetch(sql, params)

    fetch = claiming.fetch
    with (
        suppress(_SeenEnoughError),
        mock.patch.object(claiming, "fetch", catch),
        transaction.atomic(),
    ):
        claiming.due("normal", limit=64, engine_version=ANY_ENGINE)
    if not caught:
        raise DutyError("the statement that claims was not seen: mend explain_claim")
    sql, params = caught[0]
    found: list[str] = []
    with suppress(_SeenEnoughError), transaction.atomic():
        text = f"explain (analyze, buffers, timing off) {sql}"
        found = [str(row[0]) for row in ours.query(text, params)]
        raise _SeenEnoughError
    return found


def _told(seen: Drained, runs: int, accepting: float, took: float, say: Say) -> dict[str, Any]:
    busy = [s for s in seen.samples if s.claimed]
    third = max(1, len(busy) // 3)
    first = statistics.median([s.claim_us for s in busy[:third]] or [0.0])
    last = statistics.median([s.claim_us for s in busy[-third:]] or [0.0])
    found = {
        "runs": runs,
        "accepted_per_second": runs / accepting,
        "drained_per_second": runs / took,
        "claim_us_first_third": first,
        "claim_us_last_third": last,
        "rss_mb_first_third": max((s.rss_mb for s in seen.samples[:third]), default=0.0),
        "rss_mb_last_third": max((s.rss_mb for s in seen.samples[-third:]), default=0.0),
        "page_p50_ms": percentile(seen.page_ms, 0.5),
        "page_p95_ms": percentile(seen.page_ms, 0.95),
        "overtaking_ms": {k: statistics.median(v) for k, v in seen.overtaking_ms.items()},
        "left_at_plan": seen.left_at_plan,
        "plan": seen.plan,
        "samples": [
            [round(s.seconds, 1), s.left, s.claimed, round(s.claim_us, 1), round(s.rss_mb, 1)]
            for s in seen.samples
        ],
    }
    overtaking = ", ".join(f"{k} {v:.0f} ms" for k, v in found["overtaking_ms"].items())
    say(
        f"  drained {found['drained_per_second']:,.0f} runs/s;"
        f" claiming {first:.0f} → {last:.0f} µs a step;"
        f" worker {found['rss_mb_first_third']:.0f} → {found['rss_mb_last_third']:.0f} MB;"
        f" pages p95 {found['page_p95_ms']:.0f} ms; overtaking: {overtaking or 'not tried'}"
    )
    return found
