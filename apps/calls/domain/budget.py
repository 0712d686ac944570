"""Retry budgets: a tool that fails a lot is retried a little.

A token bucket per tool, shared by all workers, after the retry quota of botocore's standard mode
(``botocore/retries/quota.py`` and ``standard.py``: a retry costs 5 tokens, one after a time-out 10,
a call that goes well gives one back). Where nothing fails the bucket is full and nobody looks at
it. A retry that finds too few tokens isn't made now: it waits for longer than any ordinary pause,
and is then made without a token. So its own attempts still run out, and a storm of retries becomes
a trickle.

A retry whose time the tool itself has named (``Retry-After``) costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

CAPACITY = 100.0
RETRY_COST = 5.0
TIMEOUT_COST = 10.0
EARNED = 1.0
LEAST_WAIT_S = 15.0


def cost(*, timed_out: bool, told_when: bool) -> float:
    """Tokens that a retry takes. ``told_when``: the tool said when to come again."""
    if told_when:
        return 0.0
    return TIMEOUT_COST if timed_out else RETRY_COST


def settle(tokens: float, *, costs: Sequence[float], successes: int) -> tuple[float, list[bool]]:
    """Earn, then spend: the tokens left, and of each retry in order whether it may be made now.
    One that is too dear is put off; a cheaper one after it may still be had."""
    left = min(CAPACITY, tokens + successes * EARNED)
    allowed = []
    for price in costs:
        has = price <= left
        allowed.append(has)
        left -= price if has else 0.0
    return left, allowed


def later_s(cap_s: float, jitter: float) -> float:
    """Seconds that a retry without budget waits: once to twice the longest ordinary pause, and
    fifteen seconds at least. ``jitter`` is uniform in [0, 1)."""
    return max(LEAST_WAIT_S, cap_s) * (1.0 + jitter)


def words(tool: str) -> str:
    """What a step waits for that is put off so."""
    return f"retry budget of {tool} is used up"
