"""How soon things happen on an idle system: a run that is started, a step that is approved.

Both are timed from the moment at which the client sends its POST to the running web process until
the tool's own witness notes its call, so HTTP, authentication and the commit are within.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.conf import settings

from apps.oversight.models import Approval
from tests.benchmarks import ours
from tests.benchmarks.children import Crew
from tests.benchmarks.scale import Scale
from tests.benchmarks.site import Site, Witness, percentile, person
from tests.factories.approvals import has_read

Say = Callable[[str], None]
OPERATORS = 5


def measure(env: dict[str, str], scale: Scale, say: Say) -> dict[str, Any]:
    """The case, with the processes of a running tower and nothing else to do."""
    with Crew(env) as crew:
        for lane in ("normal", "normal", "urgent"):
            crew.worker(lane)
        crew.sweeper()
        site, witness = Site(crew), Witness()
        _starts(site, witness, count=5, pause=lambda: 0.1)  # warm-up
        answered: list[float] = []
        warm = _starts(
            site,
            witness,
            count=scale.latency_samples,
            pause=lambda: random.uniform(0.3, 1.0),
            answered=answered,
        )
        say(f"  start → tool: {_words(warm)} (answered: {_words(answered)})")
        cold = _starts(
            site, witness, count=scale.cold_samples, pause=lambda: settings.LINGER_SECONDS + 1.5
        )
        say(f"  start → tool, after the workers went to rest: {_words(cold)}")
        _approvals(site, witness, count=5)
        approved = _approvals(site, witness, count=scale.latency_samples)
        say(f"  approved → tool: {_words(approved)}")
    ours.clear_bells()
    return {
        "start": _numbers(warm),
        "start_answered": _numbers(answered),
        "start_rested": _numbers(cold),
        "approve": _numbers(approved),
        "samples": {"start": len(warm), "start_rested": len(cold), "approve": len(approved)},
    }


def _starts(
    site: Site,
    witness: Witness,
    *,
    count: int,
    pause: Callable[[], float],
    answered: list[float] | None = None,
) -> list[float]:
    """Milliseconds from POST /api/v1/runs to the first tool call; ``answered`` collects those to
    the answer that the run is accepted."""
    found = []
    with site.machine() as client:
        for _ in range(count):
            time.sleep(pause())
            mark = uuid4().hex
            script = [{"call": {"tool": "look", "args": {"n": 1, "mark": mark}}}, {"done": "x"}]
            posted = time.time()
            answer = client.post(
                "/api/v1/runs",
                json={"job": "bench-steps", "script": script},
                headers={"Idempotency-Key": mark},
            )
            if answered is not None:
                answered.append((time.time() - posted) * 1000)
            if answer.status_code != 202:
                raise RuntimeError(f"a run was not accepted: {answer.status_code} {answer.text}")
            found.append((witness.wait(mark) - posted) * 1000)
    return found


def _approvals(site: Site, witness: Witness, *, count: int) -> list[float]:
    """Milliseconds from POST /approvals/<id>/decide/ to the approved tool's call."""
    marks = {str(n): uuid4().hex for n in range(count)}
    scripts = [
        [ours.call("pay", n=int(n), mark=mark), {"done": "paid"}] for n, mark in marks.items()
    ]
    runs = ours.start(scripts, job="bench-paying")
    waiting = dict(zip(runs, marks.values(), strict=True))
    end = time.monotonic() + 60
    while Approval.objects.filter(run_id__in=runs, state="pending").count() < count:
        if time.monotonic() > end:
            raise TimeoutError("the steps that need a person did not come to wait")
        time.sleep(0.1)
    people = [person(f"bench-operator-{n}") for n in range(OPERATORS)]
    clients = [site.browser(user) for user in people]
    found = []
    for number, approval in enumerate(Approval.objects.filter(run_id__in=runs)):
        time.sleep(random.uniform(0.2, 0.6))
        has_read(approval, people[number % OPERATORS])
        form = {"answer": "approve", "digest": approval.digest, "nonce": uuid4().hex}
        posted = time.time()
        answer = clients[number % OPERATORS].post(
            f"/approvals/{approval.pk}/decide/", data=form, headers={"HX-Request": "true"}
        )
        if answer.status_code != 200:
            raise RuntimeError(f"an approval was refused: {answer.status_code}\n{answer.text}")
        found.append((witness.wait(waiting[approval.run_id]) - posted) * 1000)
    for client in clients:
        client.close()
    return found


def _numbers(values: list[float]) -> dict[str, float]:
    return {
        "p50_ms": percentile(values, 0.5),
        "p95_ms": percentile(values, 0.95),
        "most_ms": max(values),
    }


def _words(values: list[float]) -> str:
    found = _numbers(values)
    return f"p50 {found['p50_ms']:.0f} ms, p95 {found['p95_ms']:.0f} ms"
