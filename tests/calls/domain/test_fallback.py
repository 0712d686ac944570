from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.fallback import Choice, Spending, choose, threshold

shares = st.floats(0, 3)
names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1).map(tuple)
starts = st.floats(0.05, 1)


def spent(share: float, **others: int) -> Spending:
    return Spending(cost_usd=share * 2, cost_limit_usd=2.0, **others)


def test_the_agents_own_model_serves_while_budgets_last() -> None:
    assert choose(("big", "small"), spent(0.79), at=0.8) == Choice(("big", "small"), "big")


def test_fallbacks_take_turns_as_the_budget_ends() -> None:
    models = ("big", "small", "tiny")

    said = {share: choose(models, spent(share), at=0.8) for share in (0.8, 0.9, 2.0)}

    assert [c.models for c in said.values()] == [("small", "tiny"), ("tiny",), ("tiny",)]
    assert said[0.8].reason == "80 % of the cost limit was used"
    assert said[0.9].reason == said[2.0].reason == "90 % of the cost limit was used"


def test_the_scarcest_budget_counts() -> None:
    late = Spending(
        worked_s=270, latency_budget_s=300, cost_usd=0.1, cost_limit_usd=2, tokens=1, token_limit=9
    )

    assert choose(("big", "small"), late, at=0.8).reason == "80 % of the latency budget was used"


def test_tokens_stand_for_a_cost_that_nobody_tells() -> None:
    thirsty = Spending(cost_limit_usd=2.0, tokens=90, token_limit=100)

    assert choose(("big", "small"), thirsty, at=0.8).reason == "80 % of the token limit was used"


def test_after_a_failure_the_next_is_asked_first_and_the_failed_one_last() -> None:
    models = ("big", "small", "tiny")

    assert choose(models, Spending(failures=1), at=0.8).models == ("small", "tiny", "big")
    assert choose(models, Spending(failures=7), at=0.8).models == ("tiny", "big", "small")
    assert choose(models, spent(0.8, failures=1), at=0.8).models == ("tiny", "small")
    assert choose(("big",), Spending(failures=3), at=0.8) == Choice(("big",), "big")


@given(names, shares, starts)
def test_a_run_is_never_left_without_a_model_nor_sent_back_to_a_dearer_one(
    models: tuple[str, ...], share: float, at: float
) -> None:
    now, later = (choose(models, spent(s), at=at) for s in (share, share + 0.1))

    assert now.models == models[-len(now.models) :]
    assert 1 <= len(later.models) <= len(now.models)
    assert bool(now.reason) == (now.models[0] != models[0])


@given(st.integers(1, 9), starts)
def test_every_fallback_has_its_turn_before_the_budget_ends(last: int, at: float) -> None:
    turns = [threshold(n, at=at, last=last) for n in range(1, last + 1)]

    assert turns == sorted(turns)
    assert turns[0] == at
    assert turns[-1] <= 1
    assert Choice(()) == choose((), Spending(), at=at)
