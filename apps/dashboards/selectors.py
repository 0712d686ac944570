"""Reads for the dashboards that no single app below offers: answers of people and of policy over a
cohort of runs, publications, and what stands on the home page.

Other apps' rows are read by their models: a page of numbers is no reason for an app to grow an
interface.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    Count,
    ExpressionWrapper,
    F,
    Max,
    Min,
    Model,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.fields import DurationField
from django.db.models.functions import Extract, Now
from django.utils import timezone

from apps.catalog.models import (
    AgentDraft,
    ContractDraft,
    ContractVersion,
    Job,
    LanguageModelDraft,
    PromptDraft,
    ToolDraft,
    ToolServerDraft,
)
from apps.outcomes.domain.tally import Tally
from apps.outcomes.kpis import EditedField, Human
from apps.outcomes.selectors.counted import Percentile, not_forked, sums, timed
from apps.outcomes.selectors.outcomes import RunsInScope
from apps.oversight.domain.editing import changed_names
from apps.oversight.models import Approval, Edit, Reversal, Vote
from apps.oversight.selectors import DECIDED, GIVEN
from apps.oversight.selectors.grants import asked_of_people
from apps.policy.models import Decision, PolicyDraft, PolicyVersion
from apps.runs.models import Run, Step

HOLD, DENY = "hold", "deny"
MOST_MARKS = 200
MOST_EDITS = 5_000  # that are looked into, the latest of each call first


def human(scope: RunsInScope) -> Human:
    """Questions that the cohort's runs asked people, and how these answered."""
    asked = asked_of_people().filter(
        created_at__gte=scope.since, run_id__in=scope.runs().values("id")
    )
    waited = Extract(
        ExpressionWrapper(F("decided_at") - F("created_at"), output_field=DurationField()), "epoch"
    )
    others = ("rejected", "expired", "void", "pending")
    answered = Q(state__in=DECIDED)
    found = asked.aggregate(
        asked=Count("*"),
        wait_p50_s=Percentile(waited, 0.5, filter=answered),
        wait_p95_s=Percentile(waited, 0.95, filter=answered),
        approved=Count("pk", filter=Q(state__in=GIVEN)),
        **{state: Count("pk", filter=Q(state=state)) for state in others},
    )
    votes = Vote.objects.filter(dwell_ms__isnull=False, approval__in=asked.values("id"))
    dwell = votes.aggregate(
        n=Count("*"), total=Sum("dwell_ms", default=0), p50=Percentile("dwell_ms", 0.5)
    )
    return Human(
        **found,
        taken_back=Reversal.objects.filter(approval__in=asked).count(),
        undone=asked.filter(state="approved", step_id__in=_undone_steps()).count(),
        dwell_p50_s=None if dwell["p50"] is None else dwell["p50"] / 1000,
        dwell_total_s=dwell["total"] / 1000,
        dwell_n=dwell["n"],
        **_edited(asked),
    )


def _edited(asked: QuerySet[Approval]) -> dict[str, Any]:
    """What people changed of the calls that they were asked about, by field: what is not as it was
    proposed in the end."""
    held = dict(asked.values_list("tool_name").annotate(Count("step_id", distinct=True)))
    first: dict[Any, Edit] = {}
    last: dict[Any, Edit] = {}
    edits = Edit.objects.filter(step_id__in=asked.values("step_id")).select_related("approval")
    for edit in edits.order_by("-number")[:MOST_EDITS]:
        last.setdefault(edit.step_id, edit)
        first[edit.step_id] = edit
    counted = Counter(
        (edit.approval.tool_name, name)
        for step_id, edit in first.items()
        for name in changed_names(edit.before, last[step_id].after)
    )
    fields = tuple(
        EditedField(tool, name if name.isprintable() else ascii(name), n, held.get(tool, n))
        for (tool, name), n in sorted(counted.items(), key=lambda f: (-f[1], f[0]))
    )
    return {"held": sum(held.values()), "edited": len(first), "edited_fields": fields}


def _undone_steps() -> Any:
    """Steps that another one undid."""
    steps = Step.objects.filter(compensates_id__isnull=False, state="succeeded")
    return steps.values("compensates_id")


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often one rule held or denied, and in how many runs."""

    rule: str
    reason: str
    answer: str
    times: int
    runs: int


def rules(scope: RunsInScope) -> list[RuleCount]:
    """Rules of policy that held or denied steps of the cohort, most runs first. In a denial only
    hard rules count (a hold rule beside them decided nothing); a denial that no rule explains
    means that nothing permitted the step."""
    cohort, params = scope.cohort_sql("id")
    # Two levels: counting distinct runs at once would sort every decision.
    statement = (
        "SELECT rule, max(reason), answer, sum(times)::bigint, count(*) FROM ("  # noqa: S608
        "SELECT coalesce(rule->>'id', '') AS rule, coalesce(max(rule->>'reason'), '') AS reason,"
        " d.answer, d.run_id, count(*) AS times"
        f" FROM {Decision._meta.db_table} d"
        " LEFT JOIN LATERAL jsonb_array_elements("
        "   CASE WHEN jsonb_typeof(d.rules) = 'array' THEN d.rules ELSE '[]' END) rule"
        "   ON coalesce(rule->>'effect', '') <> 'permit' AND"
        "   (d.answer = 'hold' OR coalesce(rule->'roles', '[]') = '[]')"
        f" WHERE d.at >= %s AND d.answer IN ('hold', 'deny') AND d.run_id IN ({cohort})"
        " GROUP BY 1, d.answer, d.run_id) per_run"
        " GROUP BY rule, answer ORDER BY 5 DESC, 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [scope.since, *params])
        return [RuleCount(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Publication:
    """A contract or a policy that changed: a reason why numbers may move."""

    at: datetime
    what: str  # contract | policy
    name: str
    number: int
    note: str


def publications(scope: RunsInScope) -> list[Publication]:
    """Contracts and policies published in the scope, oldest first. Read from the versions
    themselves: their table is small, the log of everything isn't."""
    contracts = ContractVersion.objects.filter(
        published_at__gte=scope.since, published_at__lt=scope.until
    )
    policies = PolicyVersion.objects.filter(
        published_at__gte=scope.since, published_at__lt=scope.until
    )
    if scope.domain:
        contracts = contracts.filter(job__domain__slug=scope.domain)
        policies = policies.filter(policy_set__domain_slug=scope.domain)
    if scope.job:
        contracts = contracts.filter(job__slug=scope.job)
    rows = [
        Publication(at, "contract", slug, number, note)
        for at, slug, number, note in contracts.values_list(
            "published_at", "job__slug", "number", "note"
        )[:MOST_MARKS]
    ] + [
        Publication(at, "policy", slug, number, note)
        for at, slug, number, note in policies.values_list(
            "published_at", "policy_set__slug", "number", "note"
        )[:MOST_MARKS]
    ]
    return sorted(rows, key=lambda p: (p.at, p.what, p.name))


@dataclass(frozen=True, slots=True)
class JobName:
    slug: str
    name: str
    domain: str
    version_id: int | None


def jobs() -> dict[str, JobName]:
    """Active jobs by slug, with the contract version in force."""
    current = Q(versions__number=F("current_number"))
    rows = (
        Job.objects.filter(is_active=True)
        .annotate(version_id=Max("versions__id", filter=current))
        .values_list("slug", "name", "domain__slug", "version_id")
        .order_by("name")
    )
    return {row[0]: JobName(*row) for row in rows}


@dataclass(frozen=True, slots=True)
class WaitingQuestions:
    """Questions that wait for a person, now."""

    total: int
    by_risk: dict[int, int]
    overdue: int
    soon: int
    oldest: datetime | None
    next_due: datetime | None


def waiting_approvals(only: Q | None = None) -> WaitingQuestions:
    """What operators owe an answer, of those that fit if it is said which, by risk; overdue by the
    database's clock."""
    pending = Approval.objects.filter(only or Q(), state="pending")
    late = Q(expires_at__lt=Now())
    found = pending.aggregate(
        total=Count("*"),
        overdue=Count("pk", filter=late),
        soon=Count("pk", filter=Q(expires_at__lt=Now() + timedelta(minutes=10)) & ~late),
        oldest=Min("created_at"),
        next_due=Min("expires_at"),
    )
    by_risk = dict(pending.values_list("risk").annotate(n=Count("*")).order_by("-risk"))
    return WaitingQuestions(by_risk=by_risk, **found)


@dataclass(frozen=True, slots=True)
class DraftRow:
    what: str  # contract | policy | tool | server | model | agent | prompt
    domain: str  # of a tool, which is named by both
    slug: str
    name: str
    author: str
    updated_at: datetime
    state: str
    publish_at: datetime | None


# What a draft is of: its model, and what names its subject.
_DRAFTS: dict[str, tuple[type[Model], str | None, str, str]] = {
    "contract": (ContractDraft, None, "job__slug", "job__name"),
    "policy": (PolicyDraft, None, "policy_set__slug", "policy_set__name"),
    "tool": (ToolDraft, "tool__domain__slug", "tool__name", "tool__name"),
    "server": (ToolServerDraft, None, "server__slug", "server__name"),
    "model": (LanguageModelDraft, None, "model__slug", "model__name"),
    "agent": (AgentDraft, None, "agent__slug", "agent__name"),
    "prompt": (PromptDraft, None, "prompt__slug", "prompt__slug"),
}


def drafts() -> list[DraftRow]:
    """Documents that somebody is changing; those in review first."""
    first, *others = (
        model.objects.annotate(
            what=Value(what),
            of=F(domain) if domain else Value(""),
            slug=F(slug),
            name=F(name),
            by=F("author__username"),
        ).values_list("what", "of", "slug", "name", "by", "updated_at", "state", "publish_at")
        for what, (model, domain, slug, name) in _DRAFTS.items()
    )
    rows = [DraftRow(*row) for row in first.union(*others, all=True)]
    return sorted(rows, key=lambda r: (r.state != "in_review", r.updated_at))


def recent_runs(limit: int = 8) -> Sequence[Any]:
    """The latest runs, newest first."""
    rows = Run.objects.order_by("-created_at", "-id").defer("input")
    return list(rows[:limit])


@dataclass(frozen=True, slots=True)
class LastHour:
    """Runs by the moment of their end: all after ``since``, none that started before
    ``started``."""

    started: datetime
    since: datetime
    median_s: float | None
    tally: Tally

    @property
    def finished(self) -> int:
        return self.tally.finished

    @property
    def succeeded(self) -> int:
        return self.tally.succeeded

    @property
    def failed(self) -> int:
        return self.tally.failed

    @property
    def handed_over(self) -> int:
        return self.tally.handed_over


def last_hour(origin: str = "real") -> LastHour:
    """What finished in the last hour, of the runs of this origin that KPIs count. Runs end at most
    a deadline after they start, and the start is what is indexed: a day back is looked through."""
    now = timezone.now().replace(microsecond=0)  # as addresses write it
    started, since = now - timedelta(days=1), now - timedelta(hours=1)
    rows = Run.objects.filter(
        not_forked(), created_at__gte=started, finished_at__gte=since, origin=origin
    )
    took = Extract(
        ExpressionWrapper(F("finished_at") - F("created_at"), output_field=DurationField()), "epoch"
    )
    found = rows.aggregate(**sums(), median_s=Percentile(took, 0.5, filter=timed()))
    return LastHour(started, since, found.pop("median_s"), Tally(**found))
