"""The limiter: within its bounds, down when the tool complains, up again when it doesn't."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apps.calls.domain.limiter import Limiter, LoadSign, ended, fresh


class Tool(RuleBasedStateMachine):
    """Calls begin where there is room, and end in any way and order."""

    @initialize(ceiling=st.integers(1, 200), known=st.one_of(st.none(), st.floats(0, 500)))
    def begin(self, ceiling: int, known: float | None) -> None:
        self.limiter = fresh(ceiling, known)
        self.under_way = 0

    @precondition(lambda self: self.limiter.has_room)
    @rule()
    def call(self) -> None:
        self.limiter = self.limiter.acquired()
        self.under_way += 1
        assert self.limiter.in_use <= self.limiter.limit

    @precondition(lambda self: self.under_way)
    @rule(how=st.sampled_from(LoadSign))
    def end(self, how: LoadSign) -> None:
        before = self.limiter.limit
        self.limiter = self.limiter.released(how)
        self.under_way -= 1
        if how in {LoadSign.DROPPED, LoadSign.SLOW}:
            assert self.limiter.limit < before or before == 1
        elif how is LoadSign.OK:
            assert before <= self.limiter.limit <= before + 1
        else:
            assert self.limiter.limit == before

    @invariant()
    def bounds_hold(self) -> None:
        assert 1 <= self.limiter.limit <= self.limiter.ceiling
        assert self.limiter.in_use == self.under_way


TestTool = Tool.TestCase


@given(ceiling=st.integers(2, 1000))
def test_a_limit_that_is_hardly_used_does_not_grow(ceiling: int) -> None:
    idle = Limiter(ceiling, limit=ceiling / 2 + 1, in_use=0)
    for _ in range(20):
        idle = idle.acquired().released(LoadSign.OK)
    assert idle.limit == ceiling / 2 + 1 or idle.limit <= 3


def test_a_tool_that_fails_is_asked_one_at_a_time_and_comes_back() -> None:
    limiter = fresh(1000)
    for _ in range(100):
        limiter = limiter.acquired().released(LoadSign.DROPPED)
    assert (limiter.limit, limiter.drops) == (1.0, 100)
    rounds = 0
    while limiter.limit < 1000:
        calls = int(limiter.limit)
        for _ in range(calls):
            limiter = limiter.acquired()
        for _ in range(calls):
            limiter = limiter.released(LoadSign.OK)
        rounds += 1
    assert rounds < 25


def test_it_begins_where_the_contract_says_or_another_worker_found() -> None:
    assert fresh(1000).limit == 1000
    assert fresh(1000, 12.5).limit == 12.5
    assert fresh(4, 12.5).limit == 4
    assert fresh(4, 0).limit == 1


def test_a_slow_answer_and_a_lost_one_are_complaints() -> None:
    def of(**changes: float) -> LoadSign:
        usual = {"answered": True, "broken": False, "duration_ms": 10.0, "timeout_s": 1.0}
        return ended(**{**usual, **changes})  # type: ignore[arg-type]  # by name

    assert of() is LoadSign.OK
    assert of(duration_ms=800) is LoadSign.SLOW
    assert of(answered=False) is LoadSign.DROPPED
    assert of(broken=True) is LoadSign.UNTOLD
