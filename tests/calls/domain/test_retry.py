from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.retry import (
    DOUBTFUL,
    GIVEN_UP,
    RETRY_AFTER_LONGEST_S,
    Ending,
    RetryVerdict,
    decide,
    delay_s,
    depends_on_earlier,
    plain_verdict,
)
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


E_ = Ending
SETTLE, RETRY, UNKNOWN, FAIL = "settle", "retry", "unknown", "fail"
# Of a read, of a change whose tool takes keys, of one whose doesn't: the first time and the last.
TABLE: list[tuple[Ending, tuple[str, str], tuple[str, str], tuple[str, str]]] = [
    (E_.ANSWERED, (SETTLE, SETTLE), (SETTLE, SETTLE), (SETTLE, SETTLE)),
    (E_.REFUSED, (SETTLE, SETTLE), (SETTLE, SETTLE), (SETTLE, SETTLE)),
    (E_.ERRED, (SETTLE, SETTLE), (SETTLE, SETTLE), (SETTLE, SETTLE)),
    (E_.REJECTED, (FAIL, FAIL), (FAIL, FAIL), (FAIL, FAIL)),
    (E_.NOT_SENT, (RETRY, FAIL), (RETRY, FAIL), (RETRY, FAIL)),
    (E_.TURNED_AWAY, (RETRY, FAIL), (RETRY, FAIL), (RETRY, FAIL)),
    (E_.LOST, (RETRY, FAIL), (RETRY, UNKNOWN), (UNKNOWN, UNKNOWN)),
    (E_.BROKEN, (FAIL, FAIL), (UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN)),
]


@pytest.mark.parametrize(("ending", "read", "keyed", "unkeyed"), TABLE)
def test_what_follows_each_ending(
    ending: Ending, read: tuple[str, str], keyed: tuple[str, str], unkeyed: tuple[str, str]
) -> None:
    def found(*, mutates: bool, repeat_safe: bool) -> tuple[str, ...]:
        return tuple(
            decide(
                ending,
                attempt=attempt,
                policy=RetryPolicy(attempts=2),
                mutates=mutates,
                repeat_safe=repeat_safe,
                retry_after_s=None,
                jitter=0.5,
            ).verdict.value
            for attempt in (1, 2)
        )

    assert found(mutates=False, repeat_safe=False) == read
    assert found(mutates=True, repeat_safe=True) == keyed
    assert found(mutates=True, repeat_safe=False) == unkeyed


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("mutates", [True, False])
def test_an_error_leaves_a_change_open_only_where_the_contract_says_so(
    ending: Ending, mutates: bool
) -> None:
    told = {"attempt": 9, "policy": RetryPolicy(), "repeat_safe": True, "retry_after_s": None}
    open_, plain = (
        decide(ending, mutates=mutates, jitter=0.0, errors_prove_nothing=said, **told)  # type: ignore[arg-type]  # named above
        for said in (True, False)
    )
    is_open = ending is Ending.ERRED and mutates
    assert (open_.verdict.value, open_ == plain) == (
        ("unknown", False) if is_open else (plain.verdict.value, True)
    )


@pytest.mark.parametrize(
    ("ending", "of_change", "of_read"),
    [
        (E_.ANSWERED, SETTLE, SETTLE),
        (E_.REFUSED, SETTLE, SETTLE),
        (E_.ERRED, UNKNOWN, SETTLE),
        (E_.LOST, UNKNOWN, FAIL),
        (E_.BROKEN, UNKNOWN, FAIL),
        (E_.NOT_SENT, FAIL, FAIL),
    ],
)
def test_what_an_ending_means_without_a_contract(
    ending: Ending, of_change: str, of_read: str
) -> None:
    assert plain_verdict(ending, mutates=True) == of_change
    assert plain_verdict(ending, mutates=False) == of_read


def test_only_a_failed_change_depends_on_the_attempts_before() -> None:
    assert depends_on_earlier(GIVEN_UP, attempt=2, mutates=True)
    assert not depends_on_earlier(GIVEN_UP, attempt=1, mutates=True)
    assert not depends_on_earlier(GIVEN_UP, attempt=2, mutates=False)
    assert not depends_on_earlier(DOUBTFUL, attempt=2, mutates=True)


def test_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=3.0)
    assert [delay_s(n, policy, None, 1.0) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 3.0]
    assert delay_s(1, policy, None, 0.5) == 0.25
    assert delay_s(1, policy, -5.0, 0.5) == 0.25
    assert delay_s(1, policy, 36_000.0, 0.5) == 900.0
