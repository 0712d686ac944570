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
# How an attempt that certainly did nothing is told from its row: the words are the executor's.
NOTHING_STATUSES = frozenset({408, 425, 429})
NOTHING_CLASSES = frozenset({"not_connected", "turned_away", "session_lost", "not_made"})


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
DOUBTFUL = RetryDecision(RetryVerdict.UNKNOWN)
GIVEN_UP = RetryDecision(RetryVerdict.FAIL)


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


def plain_verdict(ending: Ending, *, mutates: bool) -> RetryVerdict:
    """What the end of an attempt means where nothing is tried again and no contract is at hand: an
    error of a tool that changes something proves nothing then."""
    if ending in {Ending.ANSWERED, Ending.REFUSED} or (ending is Ending.ERRED and not mutates):
        return RetryVerdict.SETTLE
    may_have_happened = ending in {Ending.LOST, Ending.BROKEN, Ending.ERRED}
    return RetryVerdict.UNKNOWN if mutates and may_have_happened else RetryVerdict.FAIL


def depends_on_earlier(found: RetryDecision, *, attempt: int, mutates: bool) -> bool:
    """Whether what follows hangs on the attempts before: a change whose last one certainly did
    nothing has failed only if none of them may have done it; else it is ``DOUBTFUL``."""
    return found.verdict is RetryVerdict.FAIL and mutates and attempt > 1


def did_nothing(http_status: int | None, error_class: str) -> bool:
    """Whether an attempt that ended so, and was to be tried again, certainly did nothing."""
    return http_status in NOTHING_STATUSES or error_class in NOTHING_CLASSES


def delay_s(attempt: int, policy: RetryPolicy, retry_after_s: float | None, jitter: float) -> float:
    """Seconds to wait after attempt ``attempt``. An absurd ``Retry-After`` (negative, or beyond
    fifteen minutes) is clamped."""
    own = jitter * min(policy.cap_s, policy.base_s * 2.0 ** (attempt - 1))
    if retry_after_s is None:
        return own
    return max(own, min(max(retry_after_s, 0.0), RETRY_AFTER_LONGEST_S))
