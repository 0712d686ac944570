"""The decision point at work: many questions, one statement of answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from apps.kernel.errors import NotFoundError
from apps.kernel.ids import new_id
from apps.kernel.statements import execute, names, record, rows_as_json
from apps.kernel.transactions import participant
from apps.policy import selectors
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import Request, digest_of
from apps.policy.services.reading import evaluator_by


@dataclass(frozen=True, slots=True)
class PolicyQuery:
    """One step's question, and the policy set that its contract names."""

    step_id: UUID
    run_id: UUID
    policy_slug: str
    request: Request


@dataclass(frozen=True, slots=True)
class Decided:
    """An answer as it was kept: the row's id and the verdict's fields."""

    id: UUID
    verdict: PolicyDecision

    @property
    def answer(self) -> str:
        return self.verdict.answer.value


@participant
def decide_batch(asks: Sequence[PolicyQuery]) -> list[Decided]:
    """Answer each ask under the version in force now and keep the answers, in the order given.
    Raises ``NotFoundError`` for a policy set that was never published."""
    if not asks:
        return []
    judged = _judged(asks)
    decided = [Decided(new_id(), verdict) for _, verdict in judged]
    rows = [
        _row(ask, version_id, found)
        for ask, (version_id, _), found in zip(asks, judged, decided, strict=True)
    ]
    execute(_KEEP, [rows_as_json(rows)])
    return decided


@participant
def judge_batch(asks: Sequence[PolicyQuery]) -> list[PolicyDecision]:
    """What would be answered now, in the order given; nothing is kept. Raises as decide_batch."""
    return [verdict for _, verdict in _judged(asks)] if asks else []


def _judged(asks: Sequence[PolicyQuery]) -> list[tuple[int, PolicyDecision]]:
    in_force = selectors.in_force({ask.policy_slug for ask in asks})
    by_policy: dict[str, list[int]] = defaultdict(list)
    for index, ask in enumerate(asks):
        by_policy[ask.policy_slug].append(index)
    judged: dict[int, tuple[int, PolicyDecision]] = {}
    for slug, indexes in by_policy.items():
        if slug not in in_force:
            raise NotFoundError(f"The policy “{slug}” was never published.", policy=slug)
        version_id, digest = in_force[slug]
        verdicts = evaluator_by(version_id, digest).evaluate_batch(
            [asks[i].request for i in indexes]
        )
        judged |= {i: (version_id, v) for i, v in zip(indexes, verdicts, strict=True)}
    return [judged[i] for i in range(len(asks))]


@dataclass
class NewDecision:
    """An answer as it is kept. Without slots: see ``runs.domain.rows``."""

    id: UUID
    policy_version_id: int
    run_id: UUID
    step_id: UUID
    action: str
    answer: str
    rules: Sequence[Any]
    roles: Sequence[str]
    votes: int
    risk: int
    errors: Sequence[Any]
    request: orjson.Fragment
    request_digest: str


_KEEP = f"""
    INSERT INTO policy_decision ({names(NewDecision)}, at)
    SELECT {names(NewDecision, of="v.")}, clock_timestamp()
    FROM jsonb_to_recordset(%s::jsonb) AS {record(NewDecision)}
"""  # noqa: S608  # the columns of a type, no input


def _row(ask: PolicyQuery, version_id: int, decided: Decided) -> NewDecision:
    verdict, request = decided.verdict, ask.request.canonical()
    return NewDecision(
        decided.id,
        version_id,
        ask.run_id,
        ask.step_id,
        ask.request.tool,
        decided.answer,
        verdict.rules,
        verdict.roles,
        verdict.votes,
        verdict.risk,
        verdict.errors,
        orjson.Fragment(request),
        digest_of(request),
    )
