"""What follows the end of attempts: settle, try again, unknown or failed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from apps.calls.domain.retry import (
    DOUBTFUL,
    GIVEN_UP,
    RetryDecision,
    decide,
    depends_on_earlier,
)
from apps.runs.course import RunCache
from apps.runs.engine import asking, ending
from apps.runs.journal import unsent
from apps.runs.work import Finished


def decided(finished: Sequence[Finished], cache: RunCache) -> list[tuple[Finished, RetryDecision]]:
    """What follows each of these attempts, by what the ones before may have done."""
    found = [(done, _decide(done, cache)) for done in finished]
    tried = [
        d.action.work.step_id
        for d, decision in found
        if depends_on_earlier(decision, attempt=d.action.number, mutates=d.action.work.mutates)
    ]
    doubtful = unsent.may_have_happened(tried) if tried else set()
    return [
        (done, DOUBTFUL if done.action.work.step_id in doubtful else decision)
        for done, decision in found
    ]


def _decide(done: Finished, cache: RunCache) -> RetryDecision:
    work = done.action.work
    if ending.is_spent(done, cache[work.run_id].run):
        return GIVEN_UP
    terms = asking.tool_terms(work)
    return decide(
        done.result.ending,
        attempt=done.action.number,
        policy=terms.retry,
        mutates=work.mutates,
        repeat_safe=work.idempotency == "keyed",  # one that can be looked up is asked
        errors_prove_nothing=terms.errors == "unknown",
        retry_after_s=done.result.retry_after_s,
        jitter=random.random(),  # noqa: S311  # spreads load, guards nothing
    )
