"""Who can't be the second person: whoever asked for what is decided, wrote the terms that it is
decided by, or made the account of somebody who votes on it (separation of duties, NIST AC-5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from apps.accounts import selectors as accounts
from apps.accounts.models import User
from apps.oversight.models import Approval, Vote
from apps.oversight.registry import parties_to
from apps.policy import selectors as policies

VOUCHED_FOR = timedelta(days=7)


def parties_for(approval: Approval, user: User, votes: Sequence[Vote]) -> Mapping[int, str]:
    """What this person had in what is decided, by the id of their account; nothing if nothing."""
    had = parties_to(approval).get(user.username) or _between(user, votes)
    return {user.pk: had} if had else {}


def policy_author(approval: Approval) -> Mapping[str, str]:
    """Who wrote the version of the policy that held it."""
    author = policies.author_of_decision(approval.decision_id)
    return {author: "wrote this version of the policy"} if author else {}


def _between(user: User, votes: Sequence[Vote]) -> str:
    """Whether one of two who would agree made or reset the other's account lately: they may be one
    person."""
    voters = [vote.user for vote in votes if vote.approve and vote.user_id != user.pk]
    if not voters:
        return ""
    made = accounts.changed_accounts([user, *voters], within=VOUCHED_FOR)
    for voter in voters:
        if (user.username, voter.pk) in made:
            return f"made or reset the account of {voter.display_name}, who has voted"
        if (voter.username, user.pk) in made:
            return f"have an account that {voter.display_name}, who has voted, made or reset"
    return ""
