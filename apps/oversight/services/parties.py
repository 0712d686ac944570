"""Who can't be the second person: whoever asked for what is decided, wrote the terms that it is
decided by, or made the account of somebody who votes on it (separation of duties, NIST AC-5). Who
stands in for one of them can't either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.accounts import selectors as accounts
from apps.accounts.models import User
from apps.oversight.domain import editing
from apps.oversight.domain.away import away_at, inherited, stood_in_for
from apps.oversight.models import Approval, Vote
from apps.oversight.registry import parties_to
from apps.oversight.selectors import away, edits
from apps.oversight.selectors.cooling import votes_wanted_of
from apps.policy import selectors as policies


def parties_for(approval: Approval, user: User, votes: Sequence[Vote]) -> Mapping[int, str]:
    """What this person had in what is decided, by the id of their account; nothing if nothing."""
    had = parties_to(approval)
    if found := had.get(user.username) or _tie(user, had, votes) or _stands_in(user, had):
        return {user.pk: found}
    return {}


def barred(approval: Approval, votes: Sequence[Vote]) -> frozenset[int]:
    """Whose votes don't count when an answer is used, since they had a part in it, or were there in
    the stead of somebody who had when they voted."""
    had = parties_to(approval)
    cast = [vote for vote in votes if vote.approve] if had else []
    if not cast:
        return frozenset()
    absences = away.between(min(vote.at for vote in cast), max(vote.at for vote in cast))
    names = {one.person_id: one.person.username for one in absences}
    times = [one.planned for one in absences]
    found = {vote.user_id for vote in cast if vote.user.username in had}
    for vote in cast:
        absent = stood_in_for(vote.user_id, away_at(times, vote.at))
        found |= {vote.user_id} if any(names[pk] in had for pk in absent) else set()
    return frozenset(found)


def _stands_in(user: User, had: Mapping[str, str]) -> str:
    """Whether this person is there in the stead of a party, who is away."""
    people = away.roster().stood_in_for(user) if had else []
    return inherited(had, [(one.username, one.display_name) for one in people])


def policy_author(approval: Approval) -> Mapping[str, str]:
    """Who wrote the version of the policy that held it."""
    author = policies.author_of_decision(approval.decision_id)
    return {author: "wrote this version of the policy"} if author else {}


def editors(approval: Approval) -> Mapping[str, str]:
    """Whoever edited the call, where an edited one needs another person's approval."""
    found = edits.edits_of(approval)
    if not found:
        return {}
    had = editing.needs_another(risk=approval.risk, votes=votes_wanted_of(approval))
    return {edit.by.username: had for edit in found} if had else {}


def _tie(user: User, had: Mapping[str, str], votes: Sequence[Vote]) -> str:
    """Whether this person made or reset the account of a party or of somebody who has agreed, or
    the other way round: the two may be one person."""
    parties = accounts.people_by_name(had) if had else []
    others = {person: had[person.username] for person in parties}
    others |= {vote.user: "has voted" for vote in votes if vote.approve}
    return accounts.tie_between(user, others)
