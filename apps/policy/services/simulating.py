"""What would another text have answered? Recorded questions are asked again; nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.kernel.errors import InvalidInputError
from apps.policy import selectors
from apps.policy.adapters import Evaluator
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import Request
from apps.policy.domain.schema import declared_facts
from apps.policy.models import Decision, PolicySet, PolicyVersion
from apps.policy.services.publishing import checked
from apps.policy.services.reading import evaluator

MAX_ASKED = 5_000  # about a second of evaluation
CHUNK = 500
ANSWERS = ("permit", "hold", "deny")


@dataclass(frozen=True, slots=True)
class ChangedAnswer:
    """A recorded decision that the other text would have answered differently."""

    decision_id: UUID
    run_id: UUID
    step_id: UUID
    at: datetime
    action: str
    before: str
    after: str
    rules: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """Answers then and now: ``counts`` by (before, after); ``rules`` says how often each rule of
    the other text would have held or denied."""

    total: int = 0
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    changed: tuple[ChangedAnswer, ...] = ()
    rules: Mapping[str, int] = field(default_factory=dict)

    @property
    def before(self) -> dict[str, int]:
        return {a: sum(n for (old, _), n in self.counts.items() if old == a) for a in ANSWERS}

    @property
    def after(self) -> dict[str, int]:
        return {a: sum(n for (_, new), n in self.counts.items() if new == a) for a in ANSWERS}


@dataclass(frozen=True, slots=True)
class LimitPoint:
    """How recorded questions would be answered with a limit at ``value``."""

    value: int
    permit: int = 0
    hold: int = 0
    deny: int = 0


def simulate(
    policy_set: PolicySet,
    text: str,
    *,
    schema: Mapping[str, Any] | None = None,
    since: datetime | None = None,
    limit: int = 1_000,
    consequential_only: bool = True,
) -> Simulation:
    """Ask the latest recorded questions of this policy set again under ``text``. Questions that
    carried an approval are left out: they are the second half of one that was held. Raises
    ``InvalidInputError`` for a text with problems."""
    published = selectors.current_version(policy_set.slug)
    used = schema or (published.schema if published else {})
    document = checked(text, used, policy_set.slug, policy_set.domain_slug)
    judge = Evaluator(document.policies, document.limits, used, document.may_go_without_facts)
    recorded = selectors.recorded_decisions(
        policy_set, since=since, limit=min(limit, MAX_ASKED), consequential_only=consequential_only
    )
    counts: Counter[tuple[str, str]] = Counter()
    rules: Counter[str] = Counter()
    changed: list[ChangedAnswer] = []
    for decision, verdict in _asked(judge, recorded):
        counts[(decision.answer, verdict.answer.value)] += 1
        if verdict.answer != "permit":
            rules.update(str(rule["id"]) for rule in verdict.rules)
        if decision.answer != verdict.answer:
            changed.append(_changed(decision, verdict))
    return Simulation(sum(counts.values()), dict(counts), tuple(changed), dict(rules))


def simulate_limits(
    policy_set: PolicySet,
    *,
    name: str,
    values: Iterable[int],
    since: datetime | None = None,
    limit: int = 1_000,
) -> list[LimitPoint]:
    """Answers of the version in force if one of its limits were another number."""
    version = selectors.current_version(policy_set.slug)
    if version is None or name not in version.limits:
        raise InvalidInputError(f"“{policy_set.slug}” has no limit “{name}”.", field="name")
    judge = evaluator(version)
    recorded = selectors.recorded_decisions(policy_set, since=since, limit=min(limit, MAX_ASKED))
    points = []
    for value in values:
        limits = {**version.limits, name: value}
        counts = Counter(v.answer.value for _, v in _asked(judge, recorded, limits))
        points.append(LimitPoint(value, **{answer: counts[answer] for answer in ANSWERS}))
    return points


def rejudge(decisions: Sequence[UUID], *, limit_factor: float = 1.0) -> dict[UUID, str]:
    """Ask recorded decisions again under their own version with every limit scaled."""
    answers: dict[UUID, str] = {}
    rows = Decision.objects.filter(id__in=decisions).select_related("policy_version")
    by_version: dict[int, list[Decision]] = {}
    for row in rows:
        by_version.setdefault(row.policy_version_id, []).append(row)
    for group in by_version.values():
        version = group[0].policy_version
        limits = {name: round(value * limit_factor) for name, value in version.limits.items()}
        for row, verdict in _asked(evaluator(version), group, limits):
            answers[row.pk] = verdict.answer.value
    return answers


def _asked(
    evaluator: Evaluator, recorded: Sequence[Decision], limits: Mapping[str, int] | None = None
) -> Iterator[tuple[Decision, PolicyDecision]]:
    declared = declared_then(recorded)
    for start in range(0, len(recorded), CHUNK):
        chunk = recorded[start : start + CHUNK]
        requests = [request_of(decision, declared) for decision in chunk]
        verdicts = evaluator.evaluate_batch(requests, limits=limits)
        yield from zip(chunk, verdicts, strict=True)


def declared_then(recorded: Sequence[Decision]) -> dict[int, dict[str, frozenset[str]]]:
    """The facts that each tool declared when it was asked about, by policy version."""
    used = {decision.policy_version_id for decision in recorded}
    return {
        version.pk: {tool: frozenset(f) for tool, f in declared_facts(version.schema).items()}
        for version in PolicyVersion.objects.filter(pk__in=used).only("schema")
    }


def request_of(decision: Decision, declared: Mapping[int, Mapping[str, frozenset[str]]]) -> Request:
    """The recorded question. A fact that its tool declares only since was not looked for then:
    that it isn't there says nothing about what the other text would have answered."""
    request = Request.from_json(decision.request)
    if request.asked_for is not None:
        return request
    then = declared.get(decision.policy_version_id, {})
    return replace(request, asked_for=then.get(request.tool, frozenset()))


def _changed(decision: Decision, verdict: PolicyDecision) -> ChangedAnswer:
    return ChangedAnswer(
        decision_id=decision.pk,
        run_id=decision.run_id,
        step_id=decision.step_id,
        at=decision.at,
        action=decision.action,
        before=decision.answer,
        after=verdict.answer.value,
        rules=verdict.rules,
    )
