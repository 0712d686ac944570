"""The decision point at work: many questions, one statement of answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.kernel.errors import NotFoundError
from apps.kernel.ids import new_id
from apps.kernel.transactions import participant
from apps.policy import selectors
from apps.policy.domain.decision import Verdict
from apps.policy.domain.request import Request
from apps.policy.models import Decision, PolicyVersion
from apps.policy.services.reading import evaluator


@dataclass(frozen=True, slots=True)
class Ask:
    """One step's question, and the policy set that its contract names."""

    step_id: UUID
    run_id: UUID
    policy_slug: str
    request: Request


@participant
def decide_batch(asks: Sequence[Ask]) -> list[Decision]:
    """Answer each ask under the version in force now and keep the answers, in the order given.
    Raises ``NotFoundError`` for a policy set that was never published."""
    versions = selectors.published({ask.policy_slug for ask in asks})
    by_policy: dict[str, list[int]] = defaultdict(list)
    for index, ask in enumerate(asks):
        by_policy[ask.policy_slug].append(index)
    decided: dict[int, Decision] = {}
    for slug, indexes in by_policy.items():
        if slug not in versions:
            raise NotFoundError(f"The policy “{slug}” was never published.", policy=slug)
        version = versions[slug]
        requests = [asks[i].request for i in indexes]
        verdicts = evaluator(version).evaluate_batch(requests)
        for index, verdict in zip(indexes, verdicts, strict=True):
            decided[index] = _row(asks[index], version, verdict)
    rows = [decided[i] for i in range(len(asks))]
    Decision.objects.bulk_create(rows)
    return rows


def _row(ask: Ask, version: PolicyVersion, verdict: Verdict) -> Decision:
    return Decision(
        id=new_id(),
        policy_version=version,
        run_id=ask.run_id,
        step_id=ask.step_id,
        action=ask.request.tool,
        answer=verdict.answer.value,
        rules=list(verdict.rules),
        roles=list(verdict.roles),
        votes=verdict.votes,
        risk=verdict.risk,
        errors=list(verdict.errors),
        request=ask.request.to_json(),
        request_digest=ask.request.digest(),
    )
