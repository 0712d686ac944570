"""What teams let people decide, asked where an answer is taken or used: nobody's team changes
before the transaction ends (``accounts.services.hold_scopes``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from apps.accounts import services as accounts
from apps.accounts.domain.teams import may_decide
from apps.accounts.models import User
from apps.accounts.selectors import teams_of
from apps.kernel.errors import NotPermittedError
from apps.kernel.transactions import participant
from apps.oversight.models import Approval, Vote
from apps.oversight.selectors.scopes import deciders, matter_of, outside_words


@participant
def why_outside(approval: Approval, user: User) -> str:
    """Why no team of this person decides it, and which do; nothing if one does."""
    accounts.hold_scopes([user.pk])
    return outside_as_read(approval, user)


def outside_as_read(approval: Approval, user: User) -> str:
    """``why_outside`` without holding anything: for pages, and for those who hold the teams."""
    scopes = [team.scope for team in teams_of(user)]
    if may_decide(scopes, matter_of(approval)):
        return ""
    return f"{outside_words(deciders(approval))}."


@participant
def require_within(approval: Approval, user: User) -> None:
    """Refuse whoever's teams don't decide it."""
    if why := why_outside(approval, user):
        raise NotPermittedError(why, code="team")


@participant
def outside_now(rows: Sequence[Approval], votes: Collection[Vote]) -> set[int]:
    """Which of these votes on these requests, by key, are of people whose teams don't decide the
    request any more."""
    scopes = accounts.hold_scopes([vote.user_id for vote in votes])
    asked = {row.pk: matter_of(row) for row in rows}
    return {
        vote.pk
        for vote in votes
        if not may_decide(scopes.get(vote.user_id, ()), asked[vote.approval_id])
    }
