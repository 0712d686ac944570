"""What the home page says: what needs this person now, and how jobs stand against their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.urls import reverse
from django.utils import timezone

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.dashboards import selectors
from apps.dashboards.forms import address, iso
from apps.ops.selectors import attention, health, outlook, troubles
from apps.outcomes.domain.counting import FINISHED, VERDICTS, CountsAs, Share, percent
from apps.outcomes.domain.tally import Tally, Terms, tally_by
from apps.outcomes.selectors import outcomes
from apps.outcomes.selectors.outcomes import WEEK, RunsInScope, latest, next_second
from apps.oversight import selectors as approvals
from apps.oversight.selectors.scopes import yours
from apps.runs.domain.origin import Origin

RISKS = {4: "critical", 3: "high", 2: "medium", 1: "low"}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to do. ``level`` is bad, warn or info; ``since`` how long it has been so."""

    level: str
    icon: str
    title: str
    detail: str
    href: str
    action: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobAgainstTarget:
    """A job against its target over the last seven days; bar positions are per cents."""

    slug: str
    name: str
    domain: str
    share: Share
    handed_over: int
    target: float | None
    href: str
    handed_over_href: str
    origin: str

    @property
    def distance(self) -> float | None:
        if self.share.is_too_few or self.share.value is None or self.target is None:
            return None
        return self.share.value - self.target

    @property
    def verdict(self) -> str:
        """What the interval allows to say."""
        return self.share.against(self.target)

    @property
    def verdict_words(self) -> str:
        return VERDICTS[self.verdict]

    @property
    def marks(self) -> dict[str, str]:
        """Where the bar's parts stand, in per cent of its width."""
        low, high = self.share.interval
        return {
            "low": f"{low * 100:.1f}",
            "width": f"{(high - low) * 100:.1f}",
            "value": f"{(self.share.value or 0) * 100:.1f}",
            "target": f"{(self.target or 0) * 100:.1f}",
        }

    @property
    def spoken(self) -> str:
        aim = "" if self.target is None else f", target {percent(self.target)}"
        said = f"{self.name}: {self.share.words}{aim}, {self.share.n} finished runs"
        return f"{said}, {self.handed_over} handed over" if self.handed_over else said


def window(now: datetime, origin: str = "") -> RunsInScope:
    """The seven days that the home page judges by, of runs of this origin (any without one)."""
    return RunsInScope(*latest(WEEK, next_second(now)), origin=origin)


def origin() -> Origin:
    """Which runs the home page judges by: real ones, else practice, else replayed ones."""
    week = window(timezone.now())
    return outcomes.usual_origin(week.since, week.until)


class Home:
    """What one drawing of the home page reads: whatever two of its parts ask is asked once, so
    they say the same."""

    @cached_property
    def origin(self) -> Origin:
        return origin()

    @cached_property
    def jobs(self) -> list[JobAgainstTarget]:
        return job_rows(self.origin)

    @cached_property
    def health(self) -> health.Overview:
        return health.overview()

    @cached_property
    def troubles(self) -> list[troubles.Trouble]:
        return troubles.troubles(self.health)

    @cached_property
    def standing(self) -> outcomes.StandingNow:
        return outcomes.standing()


def job_rows(shown: Origin) -> list[JobAgainstTarget]:
    """Every active job by its runs of this origin, farthest below its target first; those without
    enough runs last."""
    now = timezone.now()
    scope, names = window(now, shown), selectors.jobs()
    groups = tally_by(outcomes.counts(scope, WEEK).by_kind, lambda cell: cell.job_slug)
    current = {j.version_id for j in names.values() if j.version_id}
    terms = outcomes.terms(current)
    rows = [_job_row(job, groups.get(slug) or Tally(), terms, scope) for slug, job in names.items()]
    return sorted(rows, key=lambda r: (r.distance is None, r.distance or -r.share.n, r.name))


def _job_row(
    job: selectors.JobName, group: Tally, terms: Mapping[int, Terms], scope: RunsInScope
) -> JobAgainstTarget:
    promised = terms.get(job.version_id or 0)
    return JobAgainstTarget(
        job.slug,
        job.name,
        job.domain,
        group.success,
        group.handed_over,
        promised.target if promised else None,
        _counted_url(scope, job.slug, *FINISHED),
        _counted_url(scope, job.slug, CountsAs.HANDED_OVER),
        scope.origin,
    )


def _counted_url(scope: RunsInScope, job: str, *kinds: CountsAs) -> str:
    """The list of exactly the runs of a job that were counted as one of these."""
    return address(reverse("runs:list"), replace(scope, job=job).listed(*kinds))


def hour(shown: Origin) -> tuple[selectors.LastHour, dict[str, str]]:
    """What ended in the last hour, of the runs of this origin, and where each number leads: to
    exactly the runs that were counted."""
    found = selectors.last_hour(shown)
    times = {"from": iso(found.started), "ended_from": iso(found.since)}
    cohort = {**times, "counted": "1", "origin": shown}
    kinds = {"finished": FINISHED, "handed_over": (CountsAs.HANDED_OVER,)}
    urls = {
        name: address(reverse("runs:list"), {**cohort, "counts_as": [str(k) for k in of]})
        for name, of in kinds.items()
    }
    return found, urls


def approvals_due(user: User) -> list[Need]:
    """What waits for this operator's answer."""
    waiting = selectors.waiting_approvals(yours(user))
    if not waiting.total:
        return []
    risks = ", ".join(f"{n} {RISKS[r]}" for r, n in sorted(waiting.by_risk.items(), reverse=True))
    late = f" · {waiting.overdue} overdue" if waiting.overdue else ""
    soon = f" · {waiting.soon} due within 10 min" if waiting.soon else ""
    urgent = waiting.overdue or any(risk >= 3 for risk in waiting.by_risk)
    noun = "approval waits" if waiting.total == 1 else "approvals wait"
    return [
        Need(
            "bad" if waiting.overdue else "warn" if urgent or soon else "info",
            "approvals",
            f"{waiting.total} {noun} for a decision",
            f"{risks}{late}{soon}",
            reverse("approvals:queue"),
            "Decide",
            waiting.oldest,
        )
    ]


def escalated(user: User) -> list[Need]:
    """Questions about which the clock or a colleague called this person, or somebody in whose stead
    they are there."""
    called = approvals.called_now(user)
    if called.latest is None:
        return []
    last = called.latest
    late = f"{called.overdue} overdue · " if called.overdue else ""
    words = "approval is" if called.waiting == 1 else "approvals are"
    what = f"“{last.note}”" if last.note else last.approval.sentence
    return [
        Need(
            "bad" if called.overdue or last.by else "warn",
            "st-escalated",
            f"{called.waiting} {words} escalated to you",
            f"{late}last escalated to {last.words} at {last.at:%H:%M} UTC ({last.why}): {what}",
            address(reverse("approvals:queue"), {"escalated": "me"}),
            "Decide" if user.role == Role.OPERATOR else "Look",
            called.since,
        )
    ]


def crowded_jobs(home: Home) -> list[Need]:
    """People are told before a job is deferred for them, and when it is."""
    rows = outlook.crowded()
    if not rows:
        return []
    waits, worst = [r for r in rows if r.waits], rows[0]
    shown = waits or rows
    names = ", ".join(r.slug for r in shown[:3]) + (" and more" if len(shown) > 3 else "")
    what = "are deferred" if waits else "will soon be deferred"
    ahead = f"the next question would wait {worst.wait}, and people have {worst.window}"
    return [
        Need(
            "bad" if waits else "warn",
            "clock",
            f"New runs {what}: approvals are decided too slowly",
            f"{names}: {ahead} to answer.",
            reverse("load:index"),
            "See the load",
        )
    ]


def unknown_runs(home: Home) -> list[Need]:
    standing = home.standing
    n = standing.by_state.get("confirmation_unknown", 0)
    if not n:
        return []
    return [
        Need(
            "bad",
            "st-unknown",
            f"{n} {'run has' if n == 1 else 'runs have'} an unconfirmed effect",
            "The last call may or may not have taken effect; a person has to look.",
            address(reverse("runs:list"), {"state": "confirmation_unknown"}),
            "Look",
            standing.oldest_unknown,
        )
    ]


def poisoned_runs(home: Home) -> list[Need]:
    found = attention.poisoned()
    if not found.count:
        return []
    runs, them = ("1 run", "it") if found.count == 1 else (f"{found.count} runs", "them")
    return [
        Need(
            "bad",
            "warning",
            f"Poison: {runs} crashed every worker that tried {them}",
            "The step was tried alone and crashed each worker. A person has to decide.",
            reverse("runs:detail", args=[found.run_id])
            if found.count == 1
            else address(reverse("runs:list"), {"error_class": "poison", "state": "failed"}),
            "Look",
            found.since,
        )
    ]


def paused_runs(home: Home) -> list[Need]:
    found = attention.paused()
    if not found.count:
        return []
    noun = "run is paused" if found.count == 1 else "runs are paused"
    return [
        Need(
            "info",
            "pause",
            f"{found.count} {noun}",
            "Deadlines go on counting. A paused run goes on only when somebody resumes it.",
            reverse("runs:detail", args=[found.run_id]),
            "Open" if found.count == 1 else "Open the first",
            found.since,
        )
    ]


def jobs_under_target(home: Home) -> list[Need]:
    return [
        Need(
            "bad",
            "outcomes",
            f"{row.name} is under its target",
            f"{row.share.words} of {row.share.n} runs, target {percent(row.target or 0)}"
            f" · 95 % interval {row.share.interval_words}",
            address(
                reverse("dashboards:outcomes"),
                {"job": row.slug, "range": "7d", "origin": home.origin},
            ),
            "See why",
        )
        for row in home.jobs
        if row.verdict == "under"  # what may be chance is in the table, not on the list
    ][:5]


def violations(home: Home) -> list[Need]:
    now = timezone.now()
    scope = RunsInScope(now - timedelta(days=1), now, origin=home.origin)
    n = scope.runs().filter(has_violation=True).count()
    if not n:
        return []
    times = {"from": iso(scope.since), "to": iso(scope.until)}
    params = {"violation": "1", **times, "counted": "1", "origin": scope.origin}
    return [
        Need(
            "warn",
            "policies",
            f"{n} {'run' if n == 1 else 'runs'} tried what a hard rule denies, in 24 h",
            "Policy denied the action, so nothing was carried out.",
            address(reverse("runs:list"), params),
            "See which",
        )
    ]


def _standing(row: selectors.DraftRow) -> str:
    if row.publish_at is not None and row.state == "scheduled":
        return f"is approved, and published {row.publish_at:%Y-%m-%d %H:%M} UTC"
    return "awaits review" if row.state == "in_review" else "is being written"


_ENTRIES = {
    what: f"catalog:{what}_draft" for what in ("tool", "server", "model", "agent", "prompt")
}


def drafts(home: Home) -> list[Need]:
    names = {"contract": "catalog:draft", "policy": "policy:draft", **_ENTRIES}
    return [
        Need(
            "warn" if row.state == "in_review" else "info",
            "st-draft" if row.state == "draft" else "st-review",
            f"{row.name}: next {row.what} {_standing(row)}",
            f"by {row.author}",
            reverse(names[row.what], args=[part for part in (row.domain, row.slug) if part]),
            "Review" if row.state == "in_review" else "Open",
            row.updated_at,
        )
        for row in selectors.drafts()
    ][:5]


def unhealthy(home: Home) -> list[Need]:
    return [
        Need("bad", "warning", t.sentence, t.mend, reverse("api:system"), "System")
        for t in home.troubles
    ][:5]


NEEDS: dict[str, tuple[Callable[[Home], list[Need]], ...]] = {
    Role.OPERATOR: (crowded_jobs, unknown_runs, poisoned_runs, paused_runs),
    Role.PRODUCT_MANAGER: (jobs_under_target, violations, unknown_runs),
    Role.ADMIN: (unhealthy, crowded_jobs, poisoned_runs, drafts, unknown_runs, jobs_under_target),
    Role.AUDITOR: (violations, unknown_runs, drafts),
}
LEVELS = {"bad": 0, "warn": 1, "info": 2}


def needs(user: User, home: Home) -> list[Need]:
    """What this person should look at, gravest first."""
    of_role = [need for source in NEEDS.get(user.role, ()) for need in source(home)]
    due = approvals_due(user) if user.role == Role.OPERATOR else []
    found = [*escalated(user), *due, *of_role]
    return sorted(found, key=lambda need: LEVELS[need.level])
