"""The simulation asks the product's own functions: a fault in one of them is found."""

from __future__ import annotations

import pytest

from apps.calls.domain import retry
from tests.simulation.faults import FAULTS
from tests.simulation.planting import planted
from tests.simulation.watch import ViolationError
from tests.simulation.world import World

FOUND_WITHIN = 1000


def finds(invariant: str) -> bool:
    for seed in range(FOUND_WITHIN):
        try:
            World(seed, quiet=True).run()
        except ViolationError as error:
            if error.invariant == invariant:
                return True
    return False


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_function_of_the_product_is_found(fault: str) -> None:
    at, says, would_say, invariant = FAULTS[fault]
    with planted(at, says, would_say):
        assert finds(invariant)


def test_a_fault_is_gone_when_it_was_tried() -> None:
    told = {"attempt": 2, "mutates": True}
    with planted("apps.calls.domain.retry:depends_on_earlier", "attempt > 1", "attempt > 9"):
        assert not retry.depends_on_earlier(retry.GIVEN_UP, **told)
    assert retry.depends_on_earlier(retry.GIVEN_UP, **told)


def test_what_a_fault_replaces_has_to_be_there() -> None:
    with pytest.raises(AssertionError, match="once"), planted(
        "apps.calls.domain.retry:decide", "no such words", ""
    ):  # fmt: skip
        pass
