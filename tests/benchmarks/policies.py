"""What a policy decision costs among fifty rules, spread over a batch as the engine asks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from apps.kernel.ids import new_id
from apps.kernel.transactions import command
from apps.policy import selectors, services
from apps.policy.domain.request import Request
from apps.policy.services.reading import evaluator
from tests.benchmarks.scale import Scale

Say = Callable[[str], None]
POLICY = "bench-fifty"
BATCH = 64


def measure(scale: Scale, say: Say) -> dict[str, Any]:
    """Milliseconds a decision: asking alone, and with the row that keeps the answer."""
    version = selectors.published({POLICY})[POLICY]
    parsed = evaluator(version)
    asked, kept = [], []
    for number in range(scale.policy_batches + 3):
        asks = _asks(number)
        begun = time.perf_counter()
        verdicts = parsed.evaluate_batch([a.request for a in asks])
        asked.append((time.perf_counter() - begun) * 1000 / BATCH)
        if {v.answer.value for v in verdicts} != {"permit"}:
            raise AssertionError("the fifty rules were meant to be looked at and not to apply")
        begun = time.perf_counter()
        _decide(asks)
        kept.append((time.perf_counter() - begun) * 1000 / BATCH)
    rules = len(parsed.rules)
    found = {
        "rules": rules,
        "batch": BATCH,
        "ms_per_decision": statistics.mean(asked[3:]),
        "ms_per_recorded_decision": statistics.mean(kept[3:]),
    }
    say(
        f"  {found['ms_per_decision']:.3f} ms a decision among {rules} rules,"
        f" {found['ms_per_recorded_decision']:.3f} ms with its row"
    )
    return found


@command
def _decide(asks: Sequence[services.PolicyQuery]) -> None:
    services.decide_batch(asks)


def _asks(number: int) -> list[services.PolicyQuery]:
    return [
        services.PolicyQuery(
            step_id=new_id(), run_id=new_id(), policy_slug=POLICY, request=_request(n)
        )
        for n in range(number * BATCH, (number + 1) * BATCH)
    ]


def _request(n: int) -> Request:
    return Request(
        agent="bench-reference",
        agent_kind="reference",
        tool="note" if n % 2 else "look",
        domain="bench",
        effect="write" if n % 2 else "read",
        listed=True,
        conversation={"customer_messages": 2, "signals": ["moved_house"], "confirmed": True},
        run={"steps": n % 10, "reads_before": ["look"], "seen": [str(i) for i in range(8)]},
        arguments={"n": n, "mark": f"mark {n}"},
    )
