"""A believable day at two desks, for the browser tests and for looking at the pages."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.catalog.models import ContractVersion, Job
from apps.runs.models import Breaker, Worker
from controltower.practice.models import Desk
from tests.dashboards.rows import Shop, contract_document

HOSTILE = '<img src=x onerror=alert(1)> <a href="javascript:alert(2)">gpt</a>'
JOBS = {  # slug: target, real share, median seconds
    "retail-cancel-order": (0.9, 0.93, 4),
    "retail-return-items": (0.85, 0.72, 9),
    "retail-exchange-items": (0.8, 0.83, 12),
    "retail-change-address": (0.95, 0.99, 3),
    "airline-book-flight": (0.75, 0.6, 40),
    "airline-cancel-reservation": (0.8, 0.78, 90),
}
REQUESTS = [
    "I'd like to cancel my order, it was placed by mistake.",
    "The jacket is too small, can I exchange it for an L?",
    "Please book me on the morning flight to Denver.",
    "My address has changed, the parcel should go to my new flat.",
]
MISSES = [
    ("denied", "denied"),
    ("rejected", "rejected"),
    ("tool_refused", "tool_refused"),
    ("not_resolved", "not_resolved"),
    ("error", "timeout"),
]
RULES = [
    {
        "id": "not-confirmed",
        "reason": "The customer did not clearly say yes",
        "roles": ["operator"],
    },
    {"id": "large-refund", "reason": "The refund is above the desk's limit", "roles": ["operator"]},
    {"id": "basic-economy", "reason": "Basic economy can't be changed", "roles": []},
    {"id": "only-once", "reason": "An order is changed only once", "roles": []},
]


def busy_day(shop: Shop, operator: Any, *, runs: int = 420, seed: int = 7) -> None:
    """Runs of six jobs over the last day, with questions, refusals and a contract changed."""
    dice, now = random.Random(seed), timezone.now()
    for slug, (target, _, _) in JOBS.items():
        shop.job(slug, target=target)
    for _ in range(runs):
        slug, (_, share, median) = dice.choice(list(JOBS.items()))
        at = now - timedelta(hours=24 * dice.betavariate(1.2, 1.4))
        _run(shop, dice, operator, slug=slug, share=share, median=median, at=at)
    handed = {"state": "succeeded", "outcome": "handed_over"}
    for hours in range(1, 13):
        shop.runs(1, "retail-cancel-order", at=now - timedelta(hours=hours / 2), **handed)
    for state, n in (("running", 2), ("queued", 1), ("confirmation_unknown", 1)):
        shop.runs(n, "retail-return-items", state=state, at=now - timedelta(minutes=9))
    for risk in (4, 2, 2):
        (held,) = shop.runs(
            1,
            "airline-cancel-reservation",
            state="waiting_approval",
            at=now - timedelta(minutes=25),
            request=REQUESTS[0],
        )
        shop.ask(held, "pending", risk=risk)
    shop.runs(1, "retail-change-address", agent_label=HOSTILE, at=now - timedelta(minutes=2))
    _machinery(now)


def _run(
    shop: Shop,
    dice: random.Random,
    operator: Any,
    *,
    slug: str,
    share: float,
    median: float,
    at: Any,
) -> None:
    good = dice.random() < share
    outcome, error = ("resolved", "") if good else dice.choice(MISSES)
    asked = dice.random() < 0.3
    (run,) = shop.runs(
        1,
        slug,
        at=at,
        state="succeeded" if good else "failed",
        outcome=outcome,
        error_class=error,
        took_s=median * dice.lognormvariate(0, 0.8) + 200 * asked * dice.random(),
        request=dice.choice(REQUESTS),
        agent_label=dice.choice(["reference", "recorded gpt-4o", "SmolLM2 360M"]),
        has_violation=outcome == "denied",
        had_hold=asked,
    )
    if run.agent_label.startswith("Smol"):
        type(run).objects.filter(pk=run.pk).update(
            tokens_in=dice.randint(800, 5000), tokens_out=dice.randint(50, 600), cost_microusd=120
        )
    if outcome == "denied":
        shop.decide([run], "deny", [dice.choice(RULES[2:])], at=at)
    if asked:
        shop.decide([run], "hold", [dice.choice(RULES[:2])], at=at)
        state = "rejected" if outcome == "rejected" else dice.choice(["approved"] * 5 + ["expired"])
        waited, dwell = dice.expovariate(1 / 120), dice.randint(2000, 40_000)
        shop.ask(run, state, waited_s=waited, dwell_ms=dwell, user=operator)


def _machinery(now: Any) -> None:
    for at, number in ((now - timedelta(hours=9), 2), (now - timedelta(hours=3), 3)):
        job = Job.objects.get(slug="airline-book-flight")
        ContractVersion.objects.create(
            job=job,
            number=number,
            text="",
            digest="d",
            document=contract_document(job.slug, target=0.75),
            published_at=at,
        )
        Job.objects.filter(pk=job.pk).update(current_number=number)
    for name, kind in (("drainer-1", "drainer"), ("drainer-2", "drainer"), ("sweeper", "sweeper")):
        Worker.objects.create(
            name=name,
            kind=kind,
            lane="normal",
            pid=1,
            host="here",
            engine_version=settings.ENGINE_VERSION,
        )
    Breaker.objects.create(tool_name="retail/find_order")
    due = now + timedelta(seconds=12)
    Desk.objects.create(domain_slug="shop", per_minute=2, next_case_at=due)
    Desk.objects.create(
        domain_slug="airline",
        is_open=False,
        next_case_at=due,
        changed_by="operator",
        changed_at=now,
    )
