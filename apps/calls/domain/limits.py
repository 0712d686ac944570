"""What a run's contract allows in all, and which of it has been reached."""

from __future__ import annotations

from apps.catalog.domain.contract import Limits

LIMIT_WORDS = {
    "step_limit": "the contract allows no more steps",
    "token_limit": "the contract allows no more tokens",
    "cost_limit": "the contract allows no more cost",
}


def reached(
    limits: Limits, *, steps: int, tokens: int, cost_microusd: int | None, live: bool
) -> str:
    """The limit that stops a run which has used this much; empty when none does. Tokens and cost
    bound a live model; what a recording says about them is history."""
    if steps >= limits.steps:
        return "step_limit"
    if not live:
        return ""
    if tokens >= limits.tokens:
        return "token_limit"
    return "cost_limit" if (cost_microusd or 0) >= limits.cost_usd * 1_000_000 else ""
