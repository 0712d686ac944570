"""What an attempt's end means, and whether and when to try again.

Full jitter after M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015):
``delay = random(0, min(cap, base * 2**attempt))``. ``Retry-After`` (RFC 9110, 10.2.3) wins over
our own delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from apps.catalog.domain.contract import RetryPolicy


class Ending(StrEnum):
    """How a call ended, as far as the caller can honestly tell."""

    ANSWERED = "answered"  # the tool answered
    REFUSED = "refused"  # the tool answered that it won't: no effect
    ERRED = "erred"  # the tool answered with an error that doesn't prove that nothing was done
    REJECTED = "rejected"  # turned down before the tool was reached: no effect, nor another time
    NOT_SENT = "not_sent"  # certainly never reached the tool
    TURNED_AWAY = "turned_away"  # told to come again later: no work was done
    LOST = "lost"  # sent, then no trustworthy answer: the effect may have happened
    BROKEN = "broken"  # an answer that makes no sense and won't improve by asking again


ANSWERS = frozenset({Ending.ANSWERED, Ending.REFUSED, Ending.ERRED})  # the tool itself spoke
NOTHING_DONE = frozenset({Ending.REJECTED, Ending.NOT_SENT, Ending.TURNED_AWAY})  # for certain


class RetryVerdict(StrEnum):
    SETTLE = "settle"
    RETRY = "retry"
    UNKNOWN = "unknown"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class RetryDecision:
    verdict: RetryVerdict
    delay_s: float = 0.0


RETRY_AFTER_LONGEST_S = 900.0


def decide(
    ending: Ending,
    *,
    attempt: int,
    policy: RetryPolicy,
    mutates: bool,
    repeat_safe: bool,
    retry_after_s: float | None,
    jitter: float,
    errors_prove_nothing: bool = False,
) -> RetryDecision:
    """What follows the end of attempt number ``attempt`` (from 1). ``repeat_safe``: the tool takes
    the idempotency key. ``jitter`` is uniform in [0, 1). ``errors_prove_nothing``: the contract
    says that the tool's errors leave it open whether something was done."""
    if ending is Ending.ERRED and mutates and errors_prove_nothing:
        return RetryDecision(RetryVerdict.UNKNOWN)
    if ending in ANSWERS:
        return RetryDecision(RetryVerdict.SETTLE)
    if ending is Ending.REJECTED:
        return RetryDecision(RetryVerdict.FAIL)
    may_have_happened = mutates and ending in {Ending.LOST, Ending.BROKEN}
    if may_have_happened and not repeat_safe:
        return RetryDecision(RetryVerdict.UNKNOWN)
    if attempt >= policy.attempts or ending is Ending.BROKEN:
        return RetryDecision(RetryVerdict.UNKNOWN if may_have_happened else RetryVerdict.FAIL)
    return RetryDecision(RetryVerdict.RETRY, delay_s(attempt, policy, retry_after_s, jitter))


def delay_s(attempt: int, policy: RetryPolicy, retry_after_s: float | None, jitter: float) -> float:
    """Seconds to wait after attempt ``attempt``. An absurd ``Retry-After`` (negative, or beyond
    fifteen minutes) is clamped."""
    own = jitter * min(policy.cap_s, policy.base_s * 2.0 ** (attempt - 1))
    if retry_after_s is None:
        return own
    return max(own, min(max(retry_after_s, 0.0), RETRY_AFTER_LONGEST_S))
