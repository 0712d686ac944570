"""The claim groups of suspects, and what is evidence against one."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.runs.domain.suspicion import (
    ALONE,
    FEW,
    GUILTY,
    LOSSES_ALONE,
    MANY,
    MOST_LOSSES,
    UNEXPLAINED,
    Evidence,
    WorkHorseEnd,
    after_loss,
    claim_group_of,
    verdict,
)

ME, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
ENDS = st.sampled_from(list(WorkHorseEnd))
STEPS = st.sampled_from([(), (ME,), (OTHER,), (ME, OTHER)])


@given(st.integers(min_value=0, max_value=32_767))
def test_every_step_has_one_company_and_ever_less_of_it(losses: int) -> None:
    mine = claim_group_of(losses)

    assert [c for c in (MANY, FEW, ALONE) if c.low <= losses <= c.high] == [mine]
    assert losses == 32_767 or claim_group_of(losses + 1).most <= mine.most


def test_only_what_was_alone_is_poison() -> None:
    assert claim_group_of(MOST_LOSSES - 1) == claim_group_of(MOST_LOSSES - 3) == ALONE
    assert ALONE.most == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([WorkHorseEnd.LEFT, WorkHorseEnd.KILLED]), STEPS), max_size=200
    )
)
def test_no_death_in_company_and_no_kill_from_outside_makes_a_step_guilty(
    deaths: list[tuple[WorkHorseEnd, tuple[UUID, ...]]],
) -> None:
    """Unless its own code was running, alone, in the very moment of each of eight kills."""
    losses = blame = hits = 0
    for end, steps in deaths:
        alone = losses >= ALONE.low
        hits += end is WorkHorseEnd.KILLED and alone and ME in steps
        told = Evidence("p", end, steps)
        losses, blame = after_loss(told, ME, losses=losses, blame=blame, alone=alone)

    assert (blame >= GUILTY) is (hits >= 8)
    assert losses == len(deaths)


@pytest.mark.parametrize("end", [WorkHorseEnd.CRASHED, WorkHorseEnd.STUCK])
def test_a_crash_that_names_the_step_proves_it_in_three_workers(end: WorkHorseEnd) -> None:
    losses = blame = workers = 0
    while blame < GUILTY:
        alone = losses >= ALONE.low
        told = Evidence("p", end, (ME,))
        losses, blame = after_loss(told, ME, losses=losses, blame=blame, alone=alone)
        workers += 1
        assert losses >= ALONE.low  # it is alone from the first crash on

    assert workers == LOSSES_ALONE


def test_a_crash_without_a_name_proves_it_when_it_is_alone() -> None:
    losses = blame = workers = 0
    while blame < GUILTY:
        alone = losses >= ALONE.low
        told = Evidence("p", WorkHorseEnd.CRASHED)
        losses, blame = after_loss(told, ME, losses=losses, blame=blame, alone=alone)
        workers += 1

    assert workers == MOST_LOSSES


@given(st.integers(0, UNEXPLAINED), st.integers(0, GUILTY - 1), STEPS, st.booleans())
def test_a_crash_clears_those_that_it_does_not_name(
    losses: int, blame: int, steps: tuple[UUID, ...], alone: bool
) -> None:
    told = Evidence("p", WorkHorseEnd.CRASHED, steps)

    after = after_loss(told, THIRD, losses=losses, blame=blame, alone=False)

    assert after == ((losses, blame) if steps else (losses + 1, blame))


def test_two_names_prove_nothing_but_part_them_from_the_others() -> None:
    told = Evidence("p", WorkHorseEnd.STUCK, (ME, OTHER))

    assert after_loss(told, ME, losses=0, blame=0, alone=False) == (ALONE.low, 0)
    assert after_loss(told, ME, losses=3, blame=0, alone=True)[1] > 0


@given(ENDS, st.integers(0, 50), st.integers(0, GUILTY))
def test_a_verdict_says_why(end: WorkHorseEnd, losses: int, blame: int) -> None:
    words = verdict(end, losses=losses, blame=blame)

    assert words.endswith("It is not tried again by itself.")
    assert (end.value in words) or blame < GUILTY
