"""What a run has used of its budgets."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Sum

from apps.calls.domain.fallback import Spending
from apps.catalog.domain.contract import Contract
from apps.runs.models import Attempt, Run


def spending(run_id: UUID, contract: Contract, *, failures: int) -> Spending:
    """What a run has used of what its contract allows, in two small queries."""
    tokens_in, tokens_out, cost = Run.objects.values_list(
        "tokens_in", "tokens_out", "cost_microusd"
    ).get(id=run_id)
    worked = Attempt.objects.filter(run_id=run_id).aggregate(ms=Sum("duration_ms"))["ms"]
    return Spending(
        worked_s=(worked or 0.0) / 1000,
        latency_budget_s=contract.slo.latency_budget_s,
        cost_usd=None if cost is None else cost / 1_000_000,
        cost_limit_usd=contract.limits.cost_usd,
        tokens=tokens_in + tokens_out,
        token_limit=contract.limits.tokens,
        failures=failures,
    )
