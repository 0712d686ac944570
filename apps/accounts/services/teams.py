"""Who is in which team, and what each decides.

Whoever decides holds, until their transaction ends, their own row (so that nobody takes the role
away meanwhile, with which one leaves one's teams) and their teams': a change of either comes before
the decision, which then is judged by it, or after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction

from apps.accounts.domain.roles import Role
from apps.accounts.domain.teams import TeamScope, TeamTerms, widens
from apps.accounts.models import Membership, Team, User
from apps.accounts.services.rows import actor_of
from apps.audit import services as audit
from apps.audit.domain.actors import Actor
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.statements import fetch
from apps.kernel.transactions import command, participant

OWN = "You are in this team, or would be: another admin changes it, so that nobody widens their own"
ROLES_OF_MEMBERS = (Role.OPERATOR, Role.PRODUCT_MANAGER, Role.ADMIN)
HOLD_PEOPLE = "SELECT id FROM accounts_user WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"
HOLD_TEAMS = (
    "SELECT id FROM accounts_team WHERE id IN"
    " (SELECT team_id FROM accounts_membership WHERE user_id = ANY(%s)) ORDER BY id FOR SHARE"
)


@participant
def hold_scopes(user_ids: Collection[int]) -> dict[int, list[TeamScope]]:
    """What the teams of each of these people decide; no change of it is made before the transaction
    ends. Who isn't in it is in no team."""
    ids = sorted(set(user_ids))
    if not ids:
        return {}
    fetch(HOLD_PEOPLE, [ids])
    fetch(HOLD_TEAMS, [ids])
    found: dict[int, list[TeamScope]] = defaultdict(list)
    for row in Membership.objects.filter(user__in=ids).select_related("team"):
        found[row.user_id].append(row.team.scope)
    return found


@participant
def join(by: Actor, user: User, teams: Iterable[Team] | None = None) -> None:
    """Put a new operator into these teams; into those that take new ones if none are named."""
    if user.role != Role.OPERATOR:
        return
    ids = None if teams is None else [team.pk for team in teams]
    # Locked: who removes one at this moment comes before, and it is not there, or finds a member.
    rows = Team.objects.order_by("pk").select_for_update()
    chosen = list(rows.filter(takes_new=True) if ids is None else rows.filter(pk__in=ids))
    Membership.objects.bulk_create(
        [Membership(team=team, user=user) for team in chosen], ignore_conflicts=True
    )
    _tell_each("joined", by, user, chosen)


@participant
def leave_all(by: Actor, user: User) -> None:
    """Take somebody whose role changes out of every team. Their row has to be locked."""
    rows = Membership.objects.filter(user=user).select_related("team").order_by("team")
    left = [row.team for row in rows]
    rows.delete()
    _tell_each("left", by, user, left)


@participant
def _tell_each(kind: str, by: Actor, user: User, teams: Collection[Team]) -> None:
    told = {"username": user.username}
    audit.record_many(
        [
            audit.Fact(f"team.{kind}", by, "team", str(team.pk), None, {"team": team.name, **told})
            for team in teams
        ]
    )


def make_team(*, actor: User | None, terms: TeamTerms) -> Team:
    """A new team. ``actor`` is ``None`` for a command on the server. InvalidInputError names the
    field; NotPermittedError where the admin would be in it."""
    return _written(actor, None, 0, terms)


def change_team(*, actor: User | None, team_id: int, seen: int, terms: TeamTerms) -> Team:
    """Make a team what the terms say. ``seen`` is its number on the page: ConflictError where
    somebody changed it since."""
    return _written(actor, team_id, seen, terms)


def _written(actor: User | None, team_id: int | None, seen: int, terms: TeamTerms) -> Team:
    try:
        return _write(actor, team_id, seen, terms)
    except IntegrityError as error:  # the unique name decides between two who give it at once
        raise _taken(terms.name) from error


def _taken(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"There is a team {name} already: give it another name.", code="name_taken", field="name"
    )


@command
def _write(actor: User | None, team_id: int | None, seen: int, terms: TeamTerms) -> Team:
    # People before teams, as whoever changes a role does: so neither waits for the other.
    fetch(HOLD_PEOPLE, [sorted(terms.members)])
    team = Team(number=0) if team_id is None else _locked(team_id)
    if seen != team.number:
        raise ConflictError("Somebody changed this team meanwhile: look at it again.", code="seen")
    rows = list(Membership.objects.filter(team=team_id).select_related("user"))
    people = _people(terms, {row.user_id for row in rows})
    _refuse_own(actor, {row.user_id for row in rows} | set(people))
    if Team.objects.filter(name__iexact=terms.name).exclude(pk=team_id).exists():
        raise _taken(terms.name)
    old = None if team_id is None else team.scope
    before = _told(team, rows) if team_id is not None else {}
    _fill(team, terms)
    with transaction.atomic():
        team.save()
    _seat(team, rows, terms)
    told: dict[str, object] = {"old": before, "new": _told(team, _rows_of(team))}
    joined = sorted(people[pk].username for pk in terms.members - {row.user_id for row in rows})
    told["widens"] = bool(joined) if old is None else bool(joined) or widens(old, terms.scope)
    _record("created" if team_id is None else "changed", actor, team, **told)
    return team


def _fill(team: Team, terms: TeamTerms) -> None:
    team.name, team.takes_new = terms.name, terms.takes_new
    team.domains, team.jobs = sorted(terms.scope.domains), sorted(terms.scope.jobs)
    team.most_cents, team.highest_risk = terms.scope.most_cents, terms.scope.highest_risk
    team.number += 1


def _rows_of(team: Team) -> list[Membership]:
    return list(Membership.objects.filter(team=team).select_related("user"))


@participant
def _seat(team: Team, rows: Collection[Membership], terms: TeamTerms) -> None:
    """The members as the terms name them."""
    there = {row.user_id: row for row in rows}
    Membership.objects.filter(team=team).exclude(user__in=terms.members).delete()
    for pk in terms.members:
        leads = pk in terms.leads
        if pk not in there:
            Membership.objects.create(team=team, user_id=pk, leads=leads)
        elif there[pk].leads != leads:
            Membership.objects.filter(pk=there[pk].pk).update(leads=leads)


def _people(terms: TeamTerms, before: Collection[int]) -> dict[int, User]:
    if not terms.leads <= terms.members:
        raise InvalidInputError("Whoever leads a team is a member of it.", field="people")
    found = User.objects.in_bulk(terms.members)
    for pk in terms.members:
        person = found.get(pk)
        if person is None or (pk not in before and person.role not in ROLES_OF_MEMBERS):
            raise InvalidInputError("Somebody chosen can't be in a team.", field="people")
    return found


def _refuse_own(actor: User | None, people: Collection[int]) -> None:
    if actor is not None and actor.hindrance:
        raise NotPermittedError(actor.hindrance)
    if actor is not None and actor.pk in people:
        raise NotPermittedError(f"{OWN}.")


@command
def remove_team(*, actor: User | None, team_id: int) -> Team:
    """Remove a team that has no members. ConflictError where it has."""
    team = _locked(team_id)
    _refuse_own(actor, ())
    members = Membership.objects.filter(team=team).count()
    if members:
        words = "1 member" if members == 1 else f"{members} members"
        raise ConflictError(f"{team.name} has {words}: take them out first.", code="members")
    _record("removed", actor, team, old=_told(team, ()))
    team.delete()
    return team


@participant
def _locked(team_id: int) -> Team:
    """Held: whoever decides as a member of it at this moment comes before, or is judged by what it
    became."""
    team = Team.objects.select_for_update().filter(pk=team_id).first()
    if team is None:
        raise NotFoundError("There is no such team.")
    return team


def _told(team: Team, rows: Iterable[Membership]) -> dict[str, object]:
    members = {row.user.username: row.leads for row in rows}
    return {
        "name": team.name,
        **team.scope.to_json(),
        "takes_new": team.takes_new,
        "members": sorted(members),
        "leads": sorted(name for name, leads in members.items() if leads),
    }


@participant
def _record(kind: str, actor: User | None, team: Team, **payload: object) -> None:
    audit.record(
        kind=f"team.{kind}",
        actor=actor_of(actor),
        subject_type="team",
        subject_id=team.pk,
        payload={"team": team.name, **payload},
    )
