from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.retry import RETRY_AFTER_LONGEST_S, Ending, RetryVerdict, decide, delay_s
from apps.catalog.domain.contract import RetryPolicy

POLICY = RetryPolicy(attempts=4, base_s=0.5, cap_s=30.0)
endings = st.sampled_from(list(Ending))
jitters = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 10)
told = st.one_of(st.none(), st.floats(-1e6, 1e6))


@given(endings, attempts, jitters, told)
def test_an_unkeyed_mutation_that_may_have_happened_is_never_retried(
    ending: Ending, attempt: int, jitter: float, after: float | None
) -> None:
    decision = decide(
        ending,
        attempt=attempt,
        policy=POLICY,
        mutates=True,
        repeat_safe=False,
        retry_after_s=after,
        jitter=jitter,
    )

    if ending in {Ending.LOST, Ending.BROKEN}:
        assert decision.verdict is RetryVerdict.UNKNOWN


@given(endings, attempts, jitters, told, st.booleans(), st.booleans())
def test_attempts_are_bounded(
    ending: Ending, attempt: int, jitter: float, after: float | None, mutates: bool, safe: bool
) -> None:
    decision = decide(
        ending,
        attempt=attempt,
        policy=POLICY,
        mutates=mutates,
        repeat_safe=safe,
        retry_after_s=after,
        jitter=jitter,
    )

    assert decision.verdict is not RetryVerdict.RETRY or attempt < POLICY.attempts


@given(attempts, jitters, told)
def test_delays_are_never_negative_nor_absurd(
    attempt: int, jitter: float, after: float | None
) -> None:
    delay = delay_s(attempt, POLICY, after, jitter)

    assert 0 <= delay <= max(POLICY.cap_s, RETRY_AFTER_LONGEST_S)


@given(attempts, jitters, st.floats(0, RETRY_AFTER_LONGEST_S))
def test_we_never_come_back_before_we_were_told_to(
    attempt: int, jitter: float, after: float
) -> None:
    assert delay_s(attempt, POLICY, after, jitter) >= after


def test_an_exhausted_mutation_is_unknown_not_failed() -> None:
    decision = decide(
        Ending.LOST,
        attempt=4,
        policy=POLICY,
        mutates=True,
        repeat_safe=True,
        retry_after_s=None,
        jitter=0.5,
    )

    assert decision.verdict is RetryVerdict.UNKNOWN
