"""Who can't be the second person: whoever asked for what is decided, wrote the terms that it is
decided by, or made the account of somebody who votes on it (separation of duties, NIST AC-5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.accounts import selectors as accounts
from apps.accounts.models import User
from apps.oversight.domain import editing
from apps.oversight.models import Approval, Vote
from apps.oversight.registry import parties_to
from apps.oversight.selectors import edits
from apps.oversight.selectors.cooling import votes_wanted_of
from apps.policy import selectors as policies


def parties_for(approval: Approval, user: User, votes: Sequence[Vote]) -> Mapping[int, str]:
    """What this person had in what is decided, by the id of their account; nothing if nothing."""
    had = parties_to(approval)
    if found := had.get(user.username) or _tie(user, had, votes):
        return {user.pk: found}
    return {}


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
