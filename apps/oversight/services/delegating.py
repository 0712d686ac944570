"""Ask a person by name to decide a question. It becomes their claim; its clock goes on.

Whoever delegates, decides, claims or edits holds the question's row, so of two at once the second
finds what the first did. That a question is delegated to one person at a time, a unique constraint
holds as well.
"""

from __future__ import annotations

from uuid import UUID

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight import selectors
from apps.oversight.domain import rules
from apps.oversight.models import Approval, Delegation
from apps.oversight.selectors import away
from apps.oversight.selectors.delegating import delegation_of
from apps.oversight.services.deciding import error_of, require_able, standing_of
from apps.oversight.services.parties import parties_for
from apps.oversight.services.proving import votes_that_count
from apps.oversight.services.rows import State, end_delegation, fact, locked
from apps.oversight.services.scopes import why_outside
from apps.oversight.services.snoozing import wake_called


@command
def delegate(*, approval_id: UUID, user: User, to_id: int, note: str, seen: int) -> Delegation:
    """Ask somebody to decide it. ``seen`` is the delegation that this person saw, 0 for none: sent
    twice it counts once, and whoever is second hears who was first. To somebody who is away it goes
    to whoever stands in. InvalidInputError names the field: ``to``, who can't decide it, or
    ``note``."""
    require_able(user)
    approval = locked(approval_id)
    now = delegation_of(approval)
    is_news = now is not None and now.pk != seen
    if now and is_news and now.by_id == user.pk and to_id in {now.to_id, now.instead_of_id}:
        return now  # the form came twice
    _require_open(approval, user)
    if not note.strip():
        raise InvalidInputError("Say why they should decide it.", code="delegate", field="note")
    if now and is_news:
        sentence = f"It was delegated to {now.to.display_name} meanwhile."
        raise ConflictError(sentence, code="delegated", who=now.by.display_name, when=now.at)
    named = User.objects.filter(pk=to_id).first()
    to = _who_gets_it(named, user)
    _require_able_to_decide(approval, to)
    end_delegation(approval)
    return _made(approval, user, to, named, note.strip())


@participant
def _made(approval: Approval, user: User, to: User, named: User | None, note: str) -> Delegation:
    instead_of = named if named != to else None
    made = Delegation.objects.create(
        approval=approval, by=user, to=to, instead_of=instead_of, note=note
    )
    # The row is held since it was found open; the update is guarded all the same.
    Approval.objects.filter(pk=approval.pk, state=State.PENDING).update(
        claimed_by=to, claimed_until=database_now() + rules.LEASE
    )
    wake_called(approval, "", [to.pk])
    told = {"to": to.username, "note": note}
    told |= {"instead_of": instead_of.username} if instead_of else {}
    audit.record_many([fact("delegated", approval, user.actor, **told)])
    return made


@command
def give_back(*, approval_id: UUID, user: User) -> Approval:
    """Give a question back that was delegated to this person. Nothing happens if it isn't theirs
    any more."""
    approval = locked(approval_id)
    if end_delegation(approval, to=user):
        # A claim that somebody took over meanwhile is theirs and stays.
        mine = Approval.objects.filter(pk=approval.pk, claimed_by=user)
        mine.update(claimed_by=None, claimed_until=None)
        audit.record_many([fact("given_back", approval, user.actor)])
    return approval


def _require_open(approval: Approval, user: User) -> None:
    now = database_now()
    answer = rules.ProposedVote(user.pk, user.role, False, "", approval.digest)
    refused = rules.not_open_to(standing_of(approval, (), by=user), answer, now)
    if refused is None:
        return
    if refused.code == "role":
        raise NotPermittedError("Only those who may decide can delegate.")
    raise error_of(refused, approval, approval.digest)


def _who_gets_it(named: User | None, user: User) -> User:
    """The person who was named, or who is there in their stead."""
    if named is None:
        raise _wrong("There is no such person: choose another.")
    roster = away.roster()
    to = named
    if named.pk in roster.absences:
        until = roster.absences[named.pk].ends_at
        there = roster.there_for(named.pk)
        if there is None:
            said = f"{named.display_name} is away until {until:%d %b %H:%M} UTC, and nobody"
            raise _wrong(f"{said} stands in: choose another person.")
        to = there
    if to.pk == user.pk:
        raise _wrong("That is you: claim it, or choose another person.")
    return to


def _require_able_to_decide(approval: Approval, to: User) -> None:
    name, votes = to.display_name, votes_that_count(approval, selectors.votes_of(approval))
    if not away.can_act(to) or not rules.may_decide(to.role, approval.asked_roles):
        raise _wrong(f"{name} may not decide it: choose another person.")
    if why_outside(approval, to):
        raise _wrong(f"No team of {name} decides it: choose another person.")
    if any(vote.user_id == to.pk for vote in votes):
        raise _wrong(f"{name} has voted on it: choose another person.")
    if had := parties_for(approval, to, votes).get(to.pk):
        raise _wrong(f"It can't be {name}, who {had}: choose another person.")


def _wrong(sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, code="delegate", field="to")
