"""Who decides what: requests against the teams of people (``accounts.domain.teams``).

These are reads for pages, lists and calls. Whoever takes or uses an answer asks
``accounts.services.hold_scopes`` instead, which no change can pass by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from apps.accounts import selectors as accounts
from apps.accounts.domain import teams
from apps.accounts.domain.roles import Role
from apps.accounts.domain.teams import Matter, TeamScope
from apps.accounts.models import Membership, Team, User
from apps.accounts.registry import allows
from apps.accounts.selectors import ShownTeam
from apps.oversight.domain import rules
from apps.oversight.domain.ladder import LEAD
from apps.oversight.models import Approval, Escalation
from apps.oversight.selectors.away import can_act, roster_for

DECIDE = "approvals.decide"
# Spelled so that they stay what they are beside others: an empty Q is left out of an OR.
NOTHING, EVERYTHING = Q(pk__in=[]), ~Q(pk__in=[])


def matter_of(approval: Approval) -> Matter:
    """What is asked, as teams are bounded."""
    return Matter(
        approval.domain_slug, approval.job_slug, approval.amount_cents, int(approval.risk)
    )


def within(scopes: Iterable[TeamScope]) -> Q:
    """The requests that one of these scopes covers: ``teams.may_decide`` in SQL."""
    found = NOTHING
    for scope in scopes:
        if scope.is_unbounded:
            return EVERYTHING
        found |= _fits(scope)
    return found


def _fits(scope: TeamScope) -> Q:
    fits = EVERYTHING
    if scope.domains:
        fits &= Q(domain_slug__in=sorted(scope.domains))
    if scope.jobs:
        fits &= Q(job_slug__in=sorted(scope.jobs))
    if scope.highest_risk is not None:
        fits &= Q(risk__lte=scope.highest_risk)
    if scope.most_cents is not None:  # an amount that isn't known is in no range
        fits &= Q(amount_cents__range=(-scope.most_cents, scope.most_cents))
    return fits


# --- one reader -----------------------------------------------------------------------------------


def _seats_for(reader: User) -> list[Membership]:
    """The memberships of a page's reader, and of all who lead a team: read once for each time that
    the reader is loaded. One query."""
    found: list[Membership] | None = getattr(reader, "read_seats", None)
    if found is None:
        found = accounts.seats_of_and_leads(reader)
        reader.read_seats = found  # type: ignore[attr-defined]  # of this request only
    return found


def teams_for(reader: User) -> list[Team]:
    """The teams of a page's reader."""
    return [one.team for one in _seats_for(reader) if one.user_id == reader.pk]


def is_bounded(reader: User) -> bool:
    """Whether this person decides some requests by their role and not all of them by their
    teams."""
    if not allows(reader.role, DECIDE):
        return False
    return not any(team.scope.is_unbounded for team in teams_for(reader))


def yours(reader: User) -> Q:
    """What this person may decide by their teams, or was called about; everything for whoever
    decides nothing by their role anyway."""
    if not is_bounded(reader):
        return EVERYTHING
    return within(team.scope for team in teams_for(reader)) | is_called(reader)


def waiting_for_others(reader: User) -> int:
    """How many wait that other teams decide, where the reader's don't decide all."""
    if not is_bounded(reader):
        return 0
    return Approval.objects.filter(~yours(reader), state=Approval.State.PENDING).count()


def may_decide(user: User, approval: Approval) -> bool:
    """Whether role and teams let this person decide it, as their pages say it."""
    if not rules.may_decide(user.role, approval.asked_roles):
        return False
    return teams.may_decide((one.scope for one in teams_for(user)), matter_of(approval))


# --- calls of leads -------------------------------------------------------------------------------


def leads_for(reader: User) -> list[Membership]:
    """Everybody who leads a team and can act."""
    return [one for one in _seats_for(reader) if one.leads and can_act(one.user)]


def able_leads() -> list[Membership]:
    """Everybody who leads a team and can act. One query."""
    return [one for one in accounts.all_leads() if can_act(one.user)]


def leads_of(approval: Approval, leads: Iterable[Membership] | None = None) -> list[User]:
    """Who leads a team that decides it, and can act."""
    matter, found = matter_of(approval), able_leads() if leads is None else leads
    people = {one.user_id: one.user for one in found if one.team.scope.covers(matter)}
    return [people[pk] for pk in sorted(people)]


def is_called(reader: User, **more: object) -> Q:
    """Whether this person was called about a request: people of their role, or of those whom they
    stand in for, were; or the lead was, and they lead a team that decides it, or stand in for
    somebody who does. Where nobody leads one any more, the admins are called in the lead's
    stead."""
    roster = roster_for(reader)
    roles, calls = roster.called_roles(reader), Escalation.objects.filter(approval=OuterRef("pk"))
    found = Q(Exists(calls.filter(role__in=roles, **more)))
    leads = leads_for(reader)
    mine = {reader.pk, *(one.pk for one in roster.stood_in_for(reader))}
    fits = within(one.team.scope for one in leads if one.user_id in mine)
    if Role.ADMIN in roles:
        fits |= ~within(one.team.scope for one in leads)
    return found | (Q(Exists(calls.filter(role=LEAD, **more))) & fits)


def is_called_about(reader: User, approval: Approval, roles: Iterable[str]) -> bool:
    """``is_called`` of one request, about which these roles were called."""
    called, roster = {*roles}, roster_for(reader)
    if called & roster.called_roles(reader):
        return True
    if LEAD not in called:
        return False
    leads = {one.pk for one in leads_of(approval, leads_for(reader))}
    mine = {reader.pk, *(one.pk for one in roster.stood_in_for(reader))}
    return bool(leads & mine) or (not leads and Role.ADMIN in roster.called_roles(reader))


# --- who decides a request ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deciders:
    """The teams that decide a request, and the people of them who may and can act now."""

    teams: Sequence[ShownTeam]
    people: Sequence[User]
    leads: Sequence[User]
    wanted: int = 1

    @property
    def names(self) -> str:
        """The teams that have somebody who decides it, as a sentence names them; where none has,
        all of them."""
        able = {person.pk for person in self.people}
        there = [one for one in self.teams if any(p.pk in able for p in one.members)]
        return " or ".join(one.team.name for one in there or self.teams)

    @property
    def trouble(self) -> str:
        """Why it can't be approved as things stand; nothing if it can."""
        if not self.people:
            return "Nobody may decide this as teams and accounts stand."
        if len(self.people) < self.wanted:
            return f"{self.wanted} people have to agree, and only {len(self.people)} may decide it."
        return ""

    @property
    def mend(self) -> str:
        """What to do about it."""
        if self.teams:
            return f"An admin puts an operator who acts into {self.names}, or widens another team."
        return "An admin widens a team or makes one that decides it, under Users → Teams."


def deciders(approval: Approval, wanted: int = 1) -> Deciders:
    """Who decides it. Two queries."""
    return deciders_among(accounts.teams(), approval, wanted)


def deciders_among(known: Sequence[ShownTeam], approval: Approval, wanted: int = 1) -> Deciders:
    """``deciders``, of teams that were read."""
    matter = matter_of(approval)
    fitting = [one for one in known if one.team.scope.covers(matter)]
    members = {person.pk: person for one in fitting for person in one.members}
    able = [p for p in members.values() if _decides(p, approval)]
    leads = {person.pk: person for one in fitting for person in one.leads if can_act(person)}
    people = sorted(able, key=lambda person: person.username)
    return Deciders(fitting, people, [*leads.values()], wanted)


def _decides(person: User, approval: Approval) -> bool:
    return (
        can_act(person)
        and allows(person.role, DECIDE)
        and rules.may_decide(person.role, approval.asked_roles)
    )


def not_yours(rows: Iterable[Approval], reader: User) -> dict[object, str]:
    """Why this reader, who decides by their role, may not decide some of these rows: who does
    instead. Two queries if there are any, none otherwise."""
    if not is_bounded(reader):
        return {}
    others = [row for row in rows if not may_decide(reader, row)]
    known = accounts.teams() if others else []
    return {row.pk: outside_words(deciders_among(known, row)) for row in others}


def outside_words(found: Deciders) -> str:
    """Why somebody whose teams don't decide a request can't."""
    if not found.people:
        return "Not yours to decide, and nobody else's: an admin has to see to it"
    return f"Not yours to decide: {found.names} decides this"


def undecidable() -> QuerySet[Approval]:
    """Requests that wait and that nobody may decide, whoever is asked: no team that decides them
    has a member with a role that was asked, who can act."""
    decided = NOTHING
    for role, scopes in _able_scopes().items():
        decided |= Q(roles__contains=[role]) & within(scopes)
    waiting = Approval.objects.filter(state=Approval.State.PENDING)
    in_time = Q(expires_at__gt=Now()) | Q(ends_at__gt=Now())
    return waiting.filter(in_time).exclude(decided)


def _able_scopes() -> dict[str, list[TeamScope]]:
    """What the teams decide that have somebody who can, by the role of that person."""
    found: dict[str, dict[int, TeamScope]] = {}
    for one in accounts.teams():
        for person in one.members:
            if can_act(person) and allows(person.role, DECIDE):
                found.setdefault(person.role, {})[one.team.pk] = one.team.scope
    return {role: list(scopes.values()) for role, scopes in found.items()}
