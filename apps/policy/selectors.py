"""Reads about policies: what is in force, what it consists of, and how often it spoke."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, Q, QuerySet

from apps.kernel.statements import fetch
from apps.policy.domain.effects import CONSEQUENTIAL
from apps.policy.models import Backtest, Decision, PolicyDraft, PolicySet, PolicyVersion


def slugs(domain: str) -> frozenset[str]:
    """Slugs of the published policy sets of a domain."""
    found = PolicySet.objects.filter(domain_slug=domain, current_number__gt=0)
    return frozenset(found.values_list("slug", flat=True))


def domains() -> dict[str, str]:
    """The domain of each published policy set, by its slug."""
    found = PolicySet.objects.filter(current_number__gt=0)
    return dict(found.values_list("slug", "domain_slug"))


def texts(domain: str) -> dict[str, str]:
    """The texts in force of a domain's policy sets, by slug."""
    found = PolicyVersion.objects.filter(
        policy_set__domain_slug=domain, number=F("policy_set__current_number")
    )
    return dict(found.order_by("policy_set__slug").values_list("policy_set__slug", "text"))


def author_of_decision(decision_id: UUID) -> str:
    """User name of who wrote the version that a decision was made by; empty for one of a pack."""
    decision = Decision.objects.filter(pk=decision_id)
    names = PolicyVersion.objects.filter(pk__in=decision.values("policy_version_id"))
    return next(iter(names.values_list("author__username", flat=True)), None) or ""


def version_of_decision(decision_id: UUID) -> tuple[str, int] | None:
    """Which policy set answered, and by which of its versions."""
    rows = Decision.objects.filter(pk=decision_id)
    return rows.values_list("policy_version__policy_set__slug", "policy_version__number").first()


def policy_sets() -> list[PolicySet]:
    """All policy sets, by domain and name."""
    return list(PolicySet.objects.order_by("domain_slug", "name"))


def policy_set(slug: str) -> PolicySet | None:
    """The set of this slug, if there is one."""
    return PolicySet.objects.filter(slug=slug).first()


def published(wanted: Iterable[str]) -> dict[str, PolicyVersion]:
    """The versions in force of these policy sets, in one query."""
    versions = PolicyVersion.objects.filter(
        policy_set__slug__in=list(wanted), number=F("policy_set__current_number")
    ).select_related("policy_set")
    return {version.policy_set.slug: version for version in versions}


def in_force(wanted: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Id and digest of the versions in force of these policy sets, by slug: what the engine asks
    before each batch, so that a version counts from the moment it is published."""
    rows = fetch(
        "SELECT s.slug, v.id, v.digest FROM policy_policyset s JOIN policy_policyversion v"
        " ON v.policy_set_id = s.id AND v.number = s.current_number WHERE s.slug = ANY(%s)",
        [list(wanted)],
    )
    return {slug: (version_id, digest) for slug, version_id, digest in rows}


def current_version(slug: str) -> PolicyVersion | None:
    """The version in force; None before the first."""
    return published([slug]).get(slug)


def current_digest(slug: str) -> str:
    """The digest of the version in force; empty before the first."""
    found = PolicyVersion.objects.filter(
        policy_set__slug=slug, number=F("policy_set__current_number")
    )
    return found.values_list("digest", flat=True).first() or ""


def versions(policy_set: PolicySet) -> list[PolicyVersion]:
    """Every version, newest first, with who wrote and who published it."""
    return list(policy_set.versions.select_related("author", "approver"))


def draft_of(policy_set: PolicySet) -> PolicyDraft | None:
    """The draft of the next version, if one is being written."""
    return PolicyDraft.objects.select_related("author").filter(policy_set=policy_set).first()


def rule_hits(policy_set: PolicySet, *, since: datetime | None = None) -> dict[str, dict[str, int]]:
    """How often each rule determined an answer: rule id → answer → count. Denials that no rule
    explains stand under the empty id."""
    statement = """
        SELECT coalesce(rule->>'id', ''), d.answer, count(*)
        FROM policy_decision d
        JOIN policy_policyversion v ON v.id = d.policy_version_id
        LEFT JOIN LATERAL jsonb_array_elements(
            CASE WHEN jsonb_typeof(d.rules) = 'array' THEN d.rules ELSE '[]' END) rule ON true
        WHERE v.policy_set_id = %s AND (%s::timestamptz IS NULL OR d.at >= %s)
          AND d.request->>'effect' <> 'read' AND d.request->'approvals' = '[]'
        GROUP BY 1, 2"""
    hits: dict[str, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, [policy_set.pk, since, since])
        for rule_id, answer, count in cursor.fetchall():
            hits.setdefault(rule_id, {})[answer] = count
    return hits


def recorded_decisions(
    policy_set: PolicySet,
    *,
    since: datetime | None = None,
    limit: int = 1_000,
    consequential_only: bool = True,
) -> list[Decision]:
    """The latest first-time questions asked of this set, newest first."""
    found = Decision.objects.filter(policy_version__policy_set=policy_set, request__approvals=[])
    if consequential_only:
        found = found.filter(request__effect__in=CONSEQUENTIAL)
    if since is not None:
        found = found.filter(at__gte=since)
    return list(found.order_by("-at", "-id")[:limit])


def decisions_between(
    policy_set: PolicySet, since: datetime, until: datetime
) -> QuerySet[Decision]:
    """First-time questions about changes that were asked of a set in a time. Those that carried
    an approval are the second half of one that was held."""
    return Decision.objects.filter(
        policy_version__policy_set=policy_set,
        request__approvals=[],
        request__effect__in=CONSEQUENTIAL,
        at__gte=since,
        at__lt=until,
    )


def decisions_after(backtest: Backtest, limit: int) -> list[Decision]:
    """The next ones of a backtest, oldest first."""
    found = decisions_between(backtest.policy_set, backtest.since, backtest.until)
    if backtest.place_id is not None:
        later = Q(at__gt=backtest.place_at) | Q(at=backtest.place_at, pk__gt=backtest.place_id)
        found = found.filter(later, at__gte=backtest.place_at)
    return list(found.select_related("policy_version").order_by("at", "id")[:limit])


def backtest_of(policy_set: PolicySet) -> Backtest | None:
    """The latest backtest of a set."""
    found = Backtest.objects.filter(policy_set=policy_set)
    return found.select_related("asked_by").order_by("-id").first()


def first_decisions(step_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """The first decision about each of these steps: a later one may carry a person's approval."""
    rows = Decision.objects.filter(step_id__in=step_ids).order_by("step_id", "at", "id")
    return dict(rows.distinct("step_id").values_list("step_id", "id"))


def risk_of(step_id: UUID) -> int:
    """The highest risk that policy saw in a step."""
    return Decision.objects.filter(step_id=step_id).aggregate(top=Max("risk"))["top"] or 1
