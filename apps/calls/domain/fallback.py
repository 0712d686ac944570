"""Which models are asked for a turn, once budgets of the run run short.

A contract names fallbacks for its agent, best first, and the share of a budget from which on they
are used (``agent.fallback_at``). Between that share and the whole budget the fallbacks take turns:
with two of them and 0.8, the first serves from 80 % on and the second from 90 % on. A budget that
ran short doesn't come back, so the models before are not asked again; after a mere failure they are
asked last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run has used of what its contract allows. Seconds are those in which its agent and
    tools worked: waiting for people spends nobody's budget. ``cost_usd`` is ``None`` where the
    provider doesn't tell it; tokens then stand for it. ``failures``: attempts of this turn that
    failed."""

    worked_s: float = 0.0
    latency_budget_s: float = 0.0
    cost_usd: float | None = None
    cost_limit_usd: float = 0.0
    tokens: int = 0
    token_limit: int = 0
    failures: int = 0

    @property
    def shares(self) -> dict[str, float]:
        """The used share of each budget that there is, by its name."""
        pairs = {
            "latency budget": (self.worked_s, self.latency_budget_s),
            "cost limit": (self.cost_usd or 0.0, self.cost_limit_usd),
            "token limit": (float(self.tokens), float(self.token_limit)),
        }
        return {name: used / whole for name, (used, whole) in pairs.items() if whole > 0}


@dataclass(frozen=True, slots=True)
class Choice:
    """The models to ask, in order. ``reason`` says why the agent's own isn't the first; it stays
    the same for as long as the same model serves."""

    models: tuple[str, ...]
    preferred: str = ""
    reason: str = ""


def choose(models: Sequence[str], spending: Spending, *, at: float) -> Choice:
    """The models for the next turn. ``models``: the agent's own, then its fallbacks; ``at``: the
    share of a budget from which on fallbacks serve, above 0 and at most 1."""
    if not models:
        return Choice(())
    last = len(models) - 1
    name, share = max(spending.shares.items(), key=lambda pair: pair[1], default=("", 0.0))
    spent = _level(share, at=at, last=last)
    left = tuple(models[spent:])
    if spending.failures and len(left) > 1:
        turn = min(spending.failures, len(left) - 1)
        return Choice(left[turn:] + left[:turn], models[0], "the model before failed")
    if not spent:
        return Choice(left, models[0])
    reached = threshold(spent, at=at, last=last)
    return Choice(left, models[0], f"{reached:.0%} of the {name} was used".replace("%", " %", 1))


def threshold(level: int, *, at: float, last: int) -> float:
    """The share of a budget from which on fallback number ``level`` (from 1 to ``last``) serves."""
    return at + (1 - at) * (level - 1) / last


def _level(share: float, *, at: float, last: int) -> int:
    """Which of the models serves at this share: 0 is the agent's own."""
    served = (n for n in range(last, 0, -1) if share >= threshold(n, at=at, last=last))
    return next(served, 0)
