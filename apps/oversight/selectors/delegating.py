"""Whom questions were delegated to, and whom they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef

from apps.accounts.models import User
from apps.oversight.models import Approval, Delegation
from apps.oversight.selectors.away import Roster
from apps.oversight.selectors.scopes import deciders


def delegation_of(approval: Approval) -> Delegation | None:
    """Who was asked by name to decide it now, by whom and why."""
    return delegations_of([approval.pk]).get(approval.pk)


def delegations_of(ids: Sequence[UUID]) -> dict[UUID, Delegation]:
    """Likewise of several, by question. One query."""
    rows = Delegation.objects.filter(approval__in=ids, over_at=None)
    return {row.approval_id: row for row in rows.select_related("by", "to", "instead_of")}


def is_delegated_to(user: User) -> Exists:
    """Whether this person was asked by name to decide a question."""
    return Exists(Delegation.objects.filter(approval=OuterRef("pk"), to=user, over_at=None))


def words_of(found: Delegation | None, reader: User) -> str:
    """A delegation as a row of the list says it."""
    if found is None:
        return ""
    if found.to_id == reader.pk:
        return f"Delegated to you by {found.by.display_name}"
    return f"Delegated to {found.to.display_name}"


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who may decide a question. ``there``: who would get it where they are away, if
    anybody."""

    person: User
    is_away: bool
    there: User | None

    @property
    def words(self) -> str:
        """As a list of people says it."""
        name = self.person.display_name
        if not self.is_away:
            return name
        return f"{name} (away; {self.there.display_name if self.there else 'nobody'} stands in)"


def colleagues(approval: Approval, user: User, roster: Roster) -> list[Colleague]:
    """Everybody else who may decide it by role and team. What they had a part in is asked when one
    of them is chosen."""
    people = [one for one in deciders(approval).people if one.pk != user.pk]
    return [Colleague(p, p.pk in roster.absences, roster.there_for(p.pk)) for p in people]
