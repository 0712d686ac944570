"""Reads of the queue. Waiting rows come overdue first, then by due time, risk and age; before all
of them those to which the reader was called, or somebody in whose stead the reader is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Abs, Cast, Coalesce, Now, Replace
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import User
from apps.oversight.domain.binding import Grounds
from apps.oversight.domain.ladder import LEAD
from apps.oversight.domain.searching import SearchTerm, terms
from apps.oversight.domain.sorting import DECIDED as LATEST
from apps.oversight.domain.sorting import SORTS, SortField
from apps.oversight.domain.storms import StormKey
from apps.oversight.models import Approval, Escalation, Reversal, Vote
from apps.oversight.selectors.away import called_roles, roster_for
from apps.oversight.selectors.cooling import add_rejections
from apps.oversight.selectors.delegating import delegations_of, is_delegated_to
from apps.oversight.selectors.grants import waiting as waiting_grants
from apps.oversight.selectors.scopes import is_called, waiting_for_others, yours
from apps.oversight.selectors.snoozing import came_back, is_snoozed, next_to_wake

PAGE = 50
FIRST, REST = "first", "rest"  # parts of the list of waiting questions
State = Approval.State
SETTLED = (State.APPROVED, State.REJECTED)
GIVEN = (State.GRANTED, State.APPROVED)  # an approval, whether it can be taken back or not
DECIDED = (*GIVEN, State.REJECTED)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address bar says: the one state of the list."""

    tab: str = "waiting"
    mine: bool = False
    delegated: bool = False  # to the reader
    snoozed: bool = False  # those that the reader has snoozed, which are left out otherwise
    all: bool = False  # with those that wait and that the reader's teams don't decide
    unclaimed: bool = False
    escalated: str = ""  # "any", or "me": to people of the reader's role
    risk: int = 0
    domain: str = ""
    job: str = ""
    agent: str = ""
    q: str = ""
    sort: str = "due"  # of those that wait
    storm: StormKey | None = None  # that is opened: its requests, each in a row of its own
    after: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[SortField, ...]:
        """The columns in whose order the list stands."""
        return SORTS[self.sort] if self.tab == "waiting" else LATEST

    @property
    def has_others(self) -> bool:
        """Whether what the reader's teams don't decide is in it: asked for, or since it is the
        reader's in another way."""
        return self.all or self.mine or self.delegated or self.escalated == "me"

    @property
    def has_called_first(self) -> bool:
        """Whether questions to which the reader was called stand before all others."""
        return self.tab == "waiting" and self.sort == "due"


# --- for the engine -------------------------------------------------------------------------------


def states_of(approval_ids: Sequence[UUID]) -> dict[UUID, Approval]:
    """How these approvals stand: ``state`` and ``reason`` are what a step needs to go on."""
    rows = Approval.objects.filter(pk__in=approval_ids)
    return {row.pk: row for row in rows.only("id", "state", "reason", "decided_at")}


def bindings_of(approval_ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """What the answered or withdrawn ones of these approvals were bound to."""
    rows = Approval.objects.filter(pk__in=approval_ids, state__in=[State.APPROVED, State.VOID])
    return {row.pk: row.bound_to for row in rows.only("id", "binding")}


def decided_among(approval_ids: Sequence[UUID]) -> list[UUID]:
    """Those that no longer wait for anybody."""
    rows = Approval.objects.filter(pk__in=approval_ids).exclude(
        state__in=[State.PENDING, State.GRANTED]
    )
    return list(rows.values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the people of some roles: questions that wait, the age of the oldest, what
    was decided in the last hour, and the jobs that ask them."""

    roles: frozenset[str]
    waiting: int
    oldest_s: float
    decided_last_hour: int
    jobs: frozenset[str]


def asked_by_roles() -> list[Asked]:
    """The people's queues, one a set of roles that questions are put to. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array(SELECT jsonb_array_elements_text("
            "  CASE WHEN jsonb_typeof(roles) = 'array' THEN roles ELSE '[]' END)) AS roles,"
            " count(*) FILTER (WHERE state = 'pending'),"
            " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)"
            "  FILTER (WHERE state = 'pending')), 0)::float8,"
            " count(*) FILTER (WHERE state IN ('granted', 'approved', 'rejected')"
            "  AND is_by_person),"
            " array_agg(DISTINCT job_slug::text)"
            " FROM (SELECT roles, state, created_at, job_slug, decided_by_id IS NOT NULL"
            "  AS is_by_person FROM approvals_approval"
            "  WHERE state = 'pending'"
            " UNION ALL SELECT roles, state, created_at, job_slug, decided_by_id IS NOT NULL"
            "  FROM approvals_approval"
            "  WHERE decided_at > clock_timestamp() - interval '1 hour'"
            "  AND state <> 'pending') found GROUP BY 1"
        )
        return [
            Asked(frozenset(roles or ["operator"]), waiting, oldest_s, decided, frozenset(jobs))
            for roles, waiting, oldest_s, decided, jobs in cursor.fetchall()
        ]


# --- for the pages --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many questions wait, and how many of them were escalated to one role's people."""

    total: int = 0
    called: int = 0


def waiting_now(reader: User) -> Waiting:
    """The numbers on the navigation: of what the reader may decide."""
    rows = Approval.objects.filter(yours(reader), state=State.PENDING)
    found = rows.aggregate(total=Count("pk"), called=Count("pk", filter=is_called(reader)))
    return Waiting(**found)


def waiting_context(request: HttpRequest) -> dict[str, Any]:
    """The numbers on the navigation of every page; counted only where they are shown."""
    user: Any = getattr(request, "user", None)
    if not getattr(user, "is_authenticated", False):
        return {"waiting_now": Waiting()}
    return {"waiting_now": SimpleLazyObject(lambda: waiting_now(user))}


@dataclass(frozen=True, slots=True)
class Called:
    """What was escalated to one person and still waits."""

    waiting: int
    overdue: int
    since: datetime | None
    latest: Escalation | None


def called_now(reader: User) -> Called:
    """What needs this person because the clock or a colleague says so."""
    rows = Approval.objects.filter(is_called(reader), state=State.PENDING)
    found = rows.aggregate(n=Count("pk"), overdue=Count("pk", filter=Q(expires_at__lte=Now())))
    if not found["n"]:
        return Called(0, 0, None, None)
    roles = {LEAD, *called_roles(reader)}
    calls = Escalation.objects.filter(role__in=roles, approval__in=rows)
    latest = calls.select_related("approval", "by").order_by("-at", "-pk").first()
    return Called(found["n"], found["overdue"], calls.aggregate(at=Min("at"))["at"], latest)


def waiting(limit: int = 10) -> list[Approval]:
    """The most urgent questions, for the home page."""
    return list(_ordered(Approval.objects.filter(state=State.PENDING), SORTS["due"])[:limit])


def counts(user: User, filters: Filters) -> dict[str, Any]:
    """How many of those that wait fit the filters (whatever tab they are of), by risk, how many are
    overdue, to how many the reader was called; how many wait in all; and who is away."""
    now = roster_for(user)
    waiting = filtered(replace(filters, tab="waiting"), user)
    found = waiting.aggregate(
        total=Count("pk"),
        overdue=Count("pk", filter=Q(expires_at__lte=Now())),
        called=Count("pk", filter=is_called(user)),
        delegated=Count("pk", filter=is_delegated_to(user)),
        **{f"risk{n}": Count("pk", filter=Q(risk=n)) for n in (1, 2, 3, 4)},
    )
    return {
        "total": found["total"],
        "of": Approval.objects.filter(state=State.PENDING).count(),
        "others": 0 if filters.has_others else waiting_for_others(user),
        "snoozed": Approval.objects.filter(is_snoozed(user), state=State.PENDING).count(),
        "overdue": found["overdue"],
        "called": found["called"],
        "delegated": found["delegated"],
        "away": now.shown(),
        "grants": waiting_grants().count(),
        "by_risk": [(n, found[f"risk{n}"]) for n in (4, 3, 2, 1) if found[f"risk{n}"]],
    }


def queue(
    filters: Filters, user: User, *, but: Q | None = None
) -> tuple[list[Approval], tuple[str, ...] | None]:
    """One page of the list and the key after which the next page starts, if there is one. ``but``:
    what stands in it otherwise."""
    rows = filtered(filters, user)
    rows = _ordered(rows.exclude(but) if but else rows, filters.order)
    if filters.has_called_first:
        found = _called_first(rows, filters, user)
    else:
        found = _after(rows, filters, filters.after)
    next_key = _key(found[PAGE - 1], filters) if len(found) > PAGE else None
    page = found[:PAGE]
    _count_votes(page)
    add_rejections(page)
    _add_calls(page)
    return page, next_key


def _after(rows: QuerySet[Approval], filters: Filters, after: tuple[str, ...]) -> list[Approval]:
    rows = rows.filter(_beyond(filters.order, after)) if after else rows
    return list(rows.select_related("claimed_by", "decided_by")[: PAGE + 1])


def _called_first(rows: QuerySet[Approval], filters: Filters, user: User) -> list[Approval]:
    """Those that go to the top for this person's role, then the rest: each part by its index."""
    first, found = is_called(user, comes_first=True), []
    part, after = filters.after[:1], filters.after[1:]
    if part != (REST,):
        found = _after(rows.filter(first), filters, after)
    for row in found:
        row.is_first = True  # type: ignore[attr-defined]  # for the key and the page
    if len(found) <= PAGE:
        found += _after(rows.exclude(first), filters, after if part == (REST,) else ())
    return found[: PAGE + 1]


def filtered(filters: Filters, user: User) -> QuerySet[Approval]:
    """What fits the filters, in no order."""
    rows = _of_people(_of_tab(filters.tab, user), filters, user)
    if filters.tab == "waiting":
        rows = rows.filter(is_snoozed(user)) if filters.snoozed else rows.exclude(is_snoozed(user))
        rows = rows if filters.has_others else rows.filter(yours(user))
    if filters.escalated == "me":
        rows = rows.filter(is_called(user))
    elif filters.escalated:
        rows = rows.filter(Exists(Escalation.objects.filter(approval=OuterRef("pk"))))
    if filters.risk:
        rows = rows.filter(risk__gte=filters.risk)
    for column, value in (
        ("domain_slug", filters.domain),
        ("job_slug", filters.job),
        ("agent_slug", filters.agent),
    ):
        rows = rows.filter(**{column: value}) if value else rows
    if filters.storm:
        rows = rows.filter(job_slug=filters.storm.job, created_at__gte=filters.storm.since)
    return _searched(rows, terms(filters.q))


def _of_people(rows: QuerySet[Approval], filters: Filters, user: User) -> QuerySet[Approval]:
    if filters.mine:
        rows = rows.filter(claimed_by=user, claimed_until__gt=Now())
    if filters.delegated:
        rows = rows.filter(is_delegated_to(user))
    if filters.unclaimed:
        rows = rows.filter(Q(claimed_by=None) | Q(claimed_until__lte=Now()))
    return rows


SEARCHED = ("sentence", "customer", "tool_name", "agent_label", "agent_slug", "job_slug", "reason")


def _searched(rows: QuerySet[Approval], wanted: Sequence[SearchTerm]) -> QuerySet[Approval]:
    """Rows in which every term is found: in what they say, in their arguments, ids or amount."""
    if not wanted:
        return rows
    rows = rows.annotate(
        arguments_text=Cast("arguments", TextField()),
        run_hex=_hex("run_id"),
        own_hex=_hex("id"),
        moved_cents=MOVED,
    )
    for term in wanted:
        match = Q(arguments_text__icontains=term.text)
        for column in SEARCHED:
            match |= Q(**{f"{column}__icontains": term.text})
        if term.id_part:
            match |= Q(run_hex__contains=term.id_part) | Q(own_hex__contains=term.id_part)
        if term.cents:
            match |= Q(moved_cents__range=term.cents)
        rows = rows.filter(match)
    return rows


def _hex(column: str) -> Replace:
    hyphen, nothing = (Value(text, output_field=TextField()) for text in ("-", ""))
    return Replace(Cast(column, TextField()), hyphen, nothing, output_field=TextField())


# How much is moved, in either direction; -1 where no amount is known, which is the least.
MOVED = Coalesce(Abs("amount_cents"), Value(-1))


def _of_tab(tab: str, user: User) -> QuerySet[Approval]:
    if tab == "mine":
        return Approval.objects.filter(votes__user=user).exclude(decided_at=None)
    if tab == "decided":
        return Approval.objects.filter(state__in=DECIDED)
    if tab == "expired":
        return Approval.objects.filter(state=State.EXPIRED)
    return Approval.objects.filter(state=State.PENDING)


def _ordered(rows: QuerySet[Approval], order: Sequence[SortField]) -> QuerySet[Approval]:
    if any(field.name == "moved_cents" for field in order):
        rows = rows.annotate(moved_cents=MOVED)
    return rows.order_by(*(f"-{f.name}" if f.is_down else f.name for f in order))


def _key(row: Approval, filters: Filters) -> tuple[str, ...]:
    part = (FIRST if hasattr(row, "is_first") else REST,) if filters.has_called_first else ()
    values = (getattr(row, field.name) for field in filters.order)
    return part + tuple(v.isoformat() if isinstance(v, datetime) else str(v) for v in values)


def _beyond(order: Sequence[SortField], after: Sequence[str]) -> Q:
    """Rows that stand after the key."""
    beyond, same = Q(), Q()
    for field, value in zip(order, after, strict=True):
        side = "lt" if field.is_down else "gt"
        beyond |= same & Q(**{f"{field.name}__{side}": value})
        same &= Q(**{field.name: value})
    return beyond


def _count_votes(rows: Iterable[Approval]) -> None:
    found = {row.pk: row for row in rows}
    votes = Vote.objects.filter(approval_id__in=found, approve=True)
    tally = dict(votes.values_list("approval_id").annotate(Count("pk")))
    for pk, row in found.items():
        row.votes_given = tally.get(pk, 0)  # type: ignore[attr-defined]  # for the page


def _add_calls(rows: Sequence[Approval]) -> None:
    """``row.escalation``: the last call about it, with who made it; and how many there were.
    ``row.delegation``: who was asked by name."""
    delegations = delegations_of([row.pk for row in rows])
    calls = Escalation.objects.filter(approval__in=[row.pk for row in rows])
    found: dict[UUID, list[Escalation]] = {row.pk: [] for row in rows}
    for call in calls.select_related("by"):
        found[call.approval_id].append(call)
    for row in rows:
        row.calls = len(found[row.pk])  # type: ignore[attr-defined]  # for the page
        row.escalation = found[row.pk][-1] if found[row.pk] else None  # type: ignore[attr-defined]
        row.delegation = delegations.get(row.pk)  # type: ignore[attr-defined]


def escalations_of(approval: Approval) -> list[Escalation]:
    """Who was called about it, in order."""
    return list(approval.escalations.select_related("by"))


def choices(tab: str) -> dict[str, list[str]]:
    """What the filters of the list offer: values that occur."""
    state = State.PENDING if tab == "waiting" else State.EXPIRED
    rows = Approval.objects.filter(state=state) if tab in {"waiting", "expired"} else None
    if rows is None:
        recent = timezone.now() - timedelta(days=30)
        rows = Approval.objects.filter(state__in=DECIDED, decided_at__gte=recent)
    found = set(rows.values_list("domain_slug", "job_slug", "agent_slug").distinct()[:500])
    return {
        name: sorted({row[i] for row in found if row[i]})
        for i, name in enumerate(("domain", "job", "agent"))
    }


def one(approval_id: UUID) -> Approval | None:
    """An approval with the people on it."""
    rows = Approval.objects.select_related("claimed_by", "decided_by")
    found = rows.filter(pk=approval_id).first()
    if found is not None:
        _count_votes([found])
        add_rejections([found])
    return found


def pending_of(run_ids: Collection[UUID]) -> list[Approval]:
    """The questions about these runs that nobody has answered."""
    return list(Approval.objects.filter(run_id__in=run_ids, state=State.PENDING))


def answers_of(run_ids: Collection[UUID]) -> dict[UUID, str]:
    """How the last question about each step of these runs stands."""
    rows = Approval.objects.filter(run_id__in=run_ids).order_by("created_at")
    return dict(rows.values_list("step_id", "state"))


def votes_of(approval: Approval) -> list[Vote]:
    """Who said what, in order."""
    return list(approval.votes.select_related("user").order_by("at"))


def reversals_of(approval: Approval) -> list[Reversal]:
    """Approvals of it that were taken back, in order."""
    return list(approval.reversals.select_related("by", "decided_by"))


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one person decides."""

    last_hour: int
    last_at: datetime | None


def pace_of(user: User) -> Pace:
    """This person's answers in the last hour, and when the last one was."""
    votes = Vote.objects.filter(user=user)
    recent = votes.filter(at__gt=Now() - timedelta(hours=1)).count()
    last = votes.order_by("-at").values_list("at", flat=True).first()
    return Pace(last_hour=recent, last_at=last)


def last_decision() -> Approval | None:
    """The latest decision of anybody."""
    rows = Approval.objects.filter(state__in=DECIDED, decided_by__isnull=False)
    return rows.select_related("decided_by").order_by("-decided_at").first()


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a list since it was drawn. ``new``: with what came back to its reader."""

    new: int
    critical: int
    called: int  # shown or not, escalated to people of the reader's role since
    rows: list[Approval]
    wakes: datetime | None  # when the next that they snoozed comes back


def changes(filters: Filters, user: User, *, shown: Sequence[UUID], since: datetime) -> Changes:
    """Rows of this list that are new since it was drawn, and how the shown ones stand now."""
    is_new = Q(created_at__gt=since) | Q(came_back(user, since))
    fresh = filtered(filters, user).filter(is_new)
    risks = list(fresh.values_list("risk", flat=True)[: 10 * PAGE])
    rows = Approval.objects.filter(pk__in=shown).select_related("claimed_by", "decided_by")
    found = list(rows)
    _count_votes(found)
    add_rejections(found)
    _add_calls(found)
    calls = is_called(user, at__gt=since)
    called = filtered(filters, user).filter(calls).count()
    critical = sum(r >= 4 for r in risks)
    return Changes(len(risks), critical, called, found, next_to_wake(user))


def signature_refused(ids: Iterable[UUID]) -> set[UUID]:
    """Those whose answer was refused, since its signature did not prove it."""
    rows = Approval.objects.filter(id__in=ids, signature_refused_at__isnull=False)
    return set(rows.values_list("id", flat=True))


def signatures_refused(within: timedelta = timedelta(days=1)) -> list[Approval]:
    """Answers that were refused lately, since nobody had signed them so; the latest first."""
    since = Now() - within
    rows = Approval.objects.filter(signature_refused_at__gte=since)
    return list(rows.order_by("-signature_refused_at")[:20])


def asked_about(ids: Iterable[UUID]) -> dict[UUID, Grounds]:
    """What people were shown when they were asked, by approval."""
    rows = Approval.objects.filter(id__in=ids).only("rules", "amount_cents", "sentence", "preview")
    return {row.pk: Grounds.of(row.rules, _shown(row)) for row in rows}


def _shown(row: Approval) -> dict[str, Any]:
    return {
        "amount_cents": row.amount_cents,
        "sentence": row.sentence,
        "preview": row.preview,
    }
