"""What teams make of a request, as its sheet shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from apps.accounts.models import User
from apps.oversight.domain import ladder, rules
from apps.oversight.models import Approval, Escalation
from apps.oversight.selectors import away
from apps.oversight.selectors.scopes import (
    deciders,
    is_bounded,
    leads_of,
    may_decide,
    not_yours,
    outside_words,
    teams_for,
)


def bounds_of(user: User) -> dict[str, bool]:
    """What the list says of its reader's teams."""
    bounded = is_bounded(user)
    return {"is_bounded": bounded, "in_no_team": bounded and not teams_for(user)}


def marked(
    rows: Sequence[Approval], user: User, draw: Callable[[Approval, User], dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of a list as they are drawn, each with why it is not its reader's to decide."""
    others = not_yours([row for row in rows if row.state == Approval.State.PENDING], user)
    return [draw(row, user) | {"outside": others.get(row.pk, "")} for row in rows]


def scopes_of_sheet(user: User, approval: Approval) -> dict[str, Any]:
    """Whether this person may decide it by role and team, who does, and why they can't."""
    is_asked = user.may("approvals.decide") and rules.may_decide(user.role, approval.asked_roles)
    is_theirs = is_asked and may_decide(user, approval)
    if approval.state != Approval.State.PENDING:
        return {"is_theirs": is_theirs, "outside": ""}
    wanted: int = approval.votes_wanted  # type: ignore[attr-defined]  # by selectors
    found = deciders(approval, wanted)
    outside = outside_words(found) if is_asked and not is_theirs else ""
    return {"is_theirs": is_theirs, "deciders": found, "outside": outside}


def away_of(call: Escalation, roster: away.Roster) -> away.CalledAway:
    """Whoever of the people that were called is away."""
    leads = leads_of(call.approval) if call.role == ladder.LEAD else ()
    return away.called_away(call.role, roster, leads)
