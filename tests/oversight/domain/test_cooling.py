"""How many have to agree when somebody has just said no."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.cooling import votes_wanted


@given(asked=st.integers(min_value=-3, max_value=40))
def test_after_a_rejection_it_is_one_person_more_and_never_one_alone(asked: int) -> None:
    otherwise = votes_wanted(asked, is_cooling=False)

    assert otherwise == max(asked, 1)
    assert votes_wanted(asked, is_cooling=True) == otherwise + 1 >= 2
