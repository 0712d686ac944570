"""Who is away now, who is there in their stead, and what that makes of a call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now

from apps.accounts.domain.roles import Role
from apps.accounts.domain.standing import Standing
from apps.accounts.models import User
from apps.accounts.registry import allows
from apps.oversight.domain import away
from apps.oversight.domain.ladder import LEAD
from apps.oversight.models import Absence

# Who is called or decides: nobody is called in another role.
CALLED = frozenset({Role.OPERATOR, Role.PRODUCT_MANAGER, Role.ADMIN})
UNTIL = Coalesce("ended_at", "ends_at")


@dataclass(frozen=True, slots=True)
class ShownAbsence:
    """One absence in force, and who is there in that person's stead; nobody if nothing."""

    absence: Absence
    there: User | None


class Roster:
    """Who is away at one moment, and who stands in."""

    def __init__(self, absences: Sequence[Absence]) -> None:
        self.absences = {one.person_id: one for one in absences}
        self._away = {one.person_id: one.stand_in_id for one in absences}

    @cached_property
    def _people(self) -> dict[int, User]:
        found = {one.person_id: one.person for one in self.absences.values()}
        named = (one.stand_in for one in self.absences.values())
        return found | {one.pk: one for one in named if one}

    def stood_in_for(self, person: User) -> list[User]:
        """Everybody in whose stead this person is there; nobody while they are away themselves."""
        found = away.stood_in_for(person.pk, self._away)
        return [self._people[pk] for pk in sorted(found)]

    def there_for(self, person_id: int) -> User | None:
        """Who is there in the stead of somebody who is away: the first of the chain who isn't away
        too, and can act."""
        pk = away.stand_in_of(person_id, self._away)
        found = self._people.get(pk) if pk is not None and pk != person_id else None
        return found if found is not None and can_act(found) else None

    def called_roles(self, user: User) -> frozenset[str]:
        """The roles whose calls concern this person: their own, and those of whom they stand in
        for."""
        return frozenset({user.role, *(one.role for one in self.stood_in_for(user))})

    def shown(self, roles: Collection[str] = ()) -> list[ShownAbsence]:
        """Whoever is away, of these roles if any are given."""
        rows = sorted(self.absences.values(), key=lambda one: (one.until, one.pk))
        chosen = [one for one in rows if not roles or one.person.role in roles]
        return [ShownAbsence(one, self.there_for(one.person_id)) for one in chosen]


def can_act(person: User) -> bool:
    """Whether an account is one that acts, as far as others can tell."""
    return person.standing == Standing.ACTIVE


def may_stand_in(stand_in: User, person: User) -> bool:
    """Whether somebody may stand in for a person: of the same role, or one that decides."""
    return stand_in.role == person.role or allows(stand_in.role, "approvals.decide")


def roster() -> Roster:
    """Who is away now. One query, however many there are."""
    return Roster(list(_in_force(Now()).select_related("person", "stand_in")))


def roster_for(reader: User) -> Roster:
    """Who is away, for what one page shows its reader: read once for each time that they are
    loaded."""
    found: Roster | None = getattr(reader, "read_roster", None)
    if found is None:
        found = roster()
        reader.read_roster = found  # type: ignore[attr-defined]  # of this request only
    return found


def _in_force(moment: object) -> QuerySet[Absence]:
    rows = Absence.objects.filter(begins_at__lte=moment, ends_at__gt=moment)
    return rows.filter(Q(ended_at=None) | Q(ended_at__gt=moment))


def between(first: datetime, last: datetime) -> list[Absence]:
    """Every absence that was in force at some moment of this time."""
    rows = Absence.objects.annotate(over_at=UNTIL).filter(begins_at__lte=last, over_at__gt=first)
    return list(rows.select_related("person"))


def to_come() -> list[Absence]:
    """Absences in force or to come, the next first."""
    rows = Absence.objects.filter(ends_at__gt=Now(), ended_at=None)
    return list(rows.select_related("person", "stand_in", "set_by"))


def called_roles(user: User) -> frozenset[str]:
    """The roles whose calls concern this person now."""
    return roster_for(user).called_roles(user)


@dataclass(frozen=True, slots=True)
class CalledAway:
    """Of the people of a role, whoever is away, and whether anybody is there to be called."""

    absences: Sequence[ShownAbsence] = ()
    anybody: bool = True


def called_away(role: str, now: Roster, leads: Sequence[User] = ()) -> CalledAway:
    """What absences make of a call to a role, or to these leads. A query only where one of a role's
    people is away."""
    if role == LEAD:
        mine = {one.pk for one in leads}
        some = [one for one in now.shown() if one.absence.person_id in mine]
        return CalledAway(some, any(pk not in now.absences or now.there_for(pk) for pk in mine))
    absences = now.shown({role})
    if not absences:
        return CalledAway()
    people = [one for one in User.objects.filter(role=role, is_active=True) if can_act(one)]
    anybody = any(one.pk not in now.absences or now.there_for(one.pk) for one in people)
    return CalledAway(absences, anybody)


def people_to_choose() -> list[User]:
    """Whoever can be away or stand in."""
    rows = User.objects.filter(role__in=CALLED, is_active=True).order_by("username")
    return [one for one in rows if can_act(one)]
