"""The company of suspects."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.runs.domain.suspicion import ALONE, FEW, MANY, MOST_LOSSES, company_of


@given(st.integers(min_value=0, max_value=32_767))
def test_every_step_has_one_company_and_ever_less_of_it(losses: int) -> None:
    mine = company_of(losses)

    assert [c for c in (MANY, FEW, ALONE) if c.low <= losses <= c.high] == [mine]
    assert losses == 32_767 or company_of(losses + 1).most <= mine.most


def test_only_what_was_alone_is_poison() -> None:
    assert company_of(MOST_LOSSES - 1) == company_of(MOST_LOSSES - 3) == ALONE
    assert ALONE.most == 1
