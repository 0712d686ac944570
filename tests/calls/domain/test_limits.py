from __future__ import annotations

import pytest

from apps.calls.domain.limits import LIMIT_WORDS, reached
from apps.catalog.domain.contract import Limits

LIMITS = Limits(steps=3, tokens=100, cost_usd=0.5)


@pytest.mark.parametrize(
    ("steps", "tokens", "cost", "live", "found"),
    [
        (2, 99, 499_999, True, ""),
        (3, 0, None, False, "step_limit"),
        (0, 100, None, True, "token_limit"),
        (0, 0, 500_000, True, "cost_limit"),
        (0, 100, 500_000, False, ""),  # what a recording says of them is history
        (0, 0, None, True, ""),
    ],
)
def test_a_run_stops_at_what_its_contract_allows(
    steps: int, tokens: int, cost: int | None, live: bool, found: str
) -> None:
    assert reached(LIMITS, steps=steps, tokens=tokens, cost_microusd=cost, live=live) == found
    assert not found or LIMIT_WORDS[found]
