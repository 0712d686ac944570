"""What follows the end of attempts: settle, try again, unknown or failed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from apps.calls.domain.retry import RetryDecision, RetryVerdict, decide
from apps.runs.course import RunCache
from apps.runs.engine import asking, ending
from apps.runs.journal import unsent
from apps.runs.work import Finished


def decided(finished: Sequence[Finished], cache: RunCache) -> list[tuple[Finished, RetryDecision]]:
    """What follows each of these attempts. A change whose last attempt certainly did nothing has
    failed only if none of its earlier ones may have done it: else nobody knows."""
    found = [(done, _decide(done, cache)) for done in finished]
    tried = [d.action.work.step_id for d, decision in found if _is_open(d, decision)]
    doubtful = unsent.may_have_happened(tried) if tried else set()
    return [
        (
            done,
            RetryDecision(RetryVerdict.UNKNOWN)
            if done.action.work.step_id in doubtful
            else decision,
        )
        for done, decision in found
    ]


def _is_open(done: Finished, decision: RetryDecision) -> bool:
    failed = decision.verdict is RetryVerdict.FAIL
    return failed and done.action.work.mutates and done.action.number > 1


def _decide(done: Finished, cache: RunCache) -> RetryDecision:
    work = done.action.work
    if ending.is_spent(done, cache[work.run_id].run):
        return RetryDecision(RetryVerdict.FAIL)
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
