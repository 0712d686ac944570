"""Propose a grant, confirm it as a second person, decline it, revoke it; and its other ends.

Each change of state is made with the grant's row held, and is guarded by its state and the
database's clock: of two who act at once the second is told what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Coalesce

from apps.accounts import selectors as accounts
from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.apart import Aside, deal
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.ids import new_id
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight.adapters import KeyFileError
from apps.oversight.domain import granted, grants, reasons
from apps.oversight.domain.granted import GrantSignature
from apps.oversight.domain.grants import CoverableCall, FieldBound, GrantBounds
from apps.oversight.models import Approval, Grant, GrantUse
from apps.oversight.registry import why_never_granted
from apps.oversight.selectors.grants import COUNTS
from apps.oversight.services.covering import (
    end,
    grant_fact,
    refuse,
    why_not_ones,
    why_not_theirs,
)
from apps.oversight.services.deciding import require_able
from apps.oversight.services.grant_seals import (
    bounds_of,
    proposal_of,
    sign_confirmation,
    sign_proposal,
    why_not_granted,
    why_not_proposed,
)
from apps.oversight.services.rows import UNUSED, ClockTimestamp, State, locked, make_void
from apps.policy import selectors as policies

UNENDABLE_GRANTS = Aside("grant")
FROM = (State.PENDING, State.GRANTED, State.APPROVED)
LAPSED = "Nobody confirmed it in time."
OVER = "Its time is over."
ANOTHER_POLICY = "The policy was published anew."


@dataclass(frozen=True, slots=True)
class GrantPlan:
    """What somebody proposes: a bound for each field, the amount at most, how often, for how many
    hours from its confirmation, and why."""

    fields: Sequence[FieldBound]
    most_cents: int
    count: int
    hours: int
    reason: str = ""


def why_no_grant(approval: Approval, user: User) -> str:
    """Why this person can't propose a grant from a request; nothing if they can."""
    if approval.state not in FROM or approval.is_by_grant:
        return "A grant is proposed from a request that waits or that people approved."
    call = CoverableCall.of(approval)
    why = grants.why_never(call) or why_never_granted(approval)
    return f"No grant can cover it: {why}." if why else why_not_ones(approval, user)


def plan_bounds(approval: Approval, plan: GrantPlan) -> GrantBounds:
    """The bounds that a plan makes, from a request. InvalidInputError where it is none."""
    call, is_out = CoverableCall.of(approval), (approval.amount_cents or 0) < 0
    version = policies.version_of_decision(approval.decision_id)
    bounds = GrantBounds(
        id=str(new_id()),
        source=str(approval.pk),
        pins={name: call.pinned(name) for name in grants.PINS},
        policy=version[0] if version else "",
        rules=call.rule_ids,
        fields=tuple(sorted(plan.fields, key=lambda bound: bound.name)),
        least_cents=-plan.most_cents if is_out else 0,
        most_cents=0 if is_out else plan.most_cents,
        count=plan.count,
        hours=plan.hours,
    )
    if why := grants.bounds_fault(bounds):
        raise InvalidInputError(why, code="bounds")
    if missed := grants.misses(bounds, call):
        said = "; ".join(miss.words for miss in missed[:3])
        raise InvalidInputError(f"It would not cover this very request: {said}.", code="bounds")
    return bounds


@command
def propose_grant(*, approval_id: UUID, user: User, plan: GrantPlan) -> Grant:
    """Propose a grant from a request. It counts once another person has confirmed it.
    ConflictError where none can be proposed from it, or one from it waits already;
    InvalidInputError for bounds that make none, or a reason that says nothing."""
    require_able(user)
    approval = locked(approval_id)  # two who propose from it at once: the second finds the first's
    if why := why_no_grant(approval, user):
        raise ConflictError(why, code="ungrantable")
    rows = Grant.objects.filter(source=approval, state=Grant.State.PROPOSED)
    if rows.filter(lapses_at__gt=ClockTimestamp()).exists():
        raise ConflictError("A grant from this request waits for confirmation.", code="waits")
    _require_reason(plan.reason)
    bounds, now = plan_bounds(approval, plan), database_now()
    said = GrantSignature(user.username, user.pk, plan.reason, now)
    signature, key_id = sign_proposal(bounds, said)
    grant = Grant.objects.create(
        id=UUID(bounds.id),
        source=approval,
        domain_slug=approval.domain_slug,
        job_slug=approval.job_slug,
        tool_name=approval.tool_name,
        bounds=bounds.to_json(),
        most_uses=bounds.count,
        proposed_by=user,
        proposed_at=now,
        reason=plan.reason,
        proposal_signature=signature,
        proposal_key=key_id,
        lapses_at=now + timedelta(hours=grants.PROPOSED_FOR_H),
    )
    audit.record_many([grant_fact("proposed", grant, user.actor, **_told(grant, plan.reason))])
    return grant


def why_not_confirm(grant: Grant, user: User) -> str:
    """Why this person can't confirm a proposal that waits; nothing if they can."""
    if user.pk == grant.proposed_by_id:
        return "You proposed it: another person has to confirm it."
    approval = grant.source
    if why := why_not_theirs(approval, replaced(grant, user)):
        return why
    if why := accounts.tie_between(user, {grant.proposed_by: "proposed it"}):
        return f"You can't confirm this: you {why}."
    bounds = bounds_of(grant)
    current = policies.current_digest(bounds.policy)
    return ANOTHER_POLICY if current and current != bounds.pins["policy_digest"] else ""


def replaced(grant: Grant, user: User) -> Grant:
    """The grant as it would be with this person's confirmation, for those who judge it."""
    return Grant(pk=grant.pk, proposed_by=grant.proposed_by, confirmed_by=user)


@command
def confirm_grant(*, grant_id: UUID, user: User, digest: str, reason: str) -> Grant:
    """Confirm a grant as the second person; it counts from now on. One whose proposal nobody signed
    as it stands is refused, and comes back so. ConflictError where it waits no more, or is not what
    was shown; NotPermittedError for whoever may not."""
    require_able(user)
    grant = _open(grant_id, Grant.State.PROPOSED)
    if why := why_not_proposed(grant):
        refuse(grant, why)
        return _again(grant)
    bounds = bounds_of(grant)
    if digest != bounds.digest:
        raise ConflictError("This is not the grant that you opened: load it anew.", code="digest")
    if why := why_not_confirm(grant, user):
        raise NotPermittedError(why)
    _require_reason(reason)
    now = database_now()
    said = GrantSignature(user.username, user.pk, reason, now)
    signature, key_id = sign_confirmation(bounds, proposal_of(grant), said)
    rows = Grant.objects.filter(pk=grant.pk, state=Grant.State.PROPOSED)
    moved = rows.filter(lapses_at__gt=ClockTimestamp()).update(
        state=Grant.State.ACTIVE,
        confirmed_by=user,
        confirmed_at=now,
        confirm_reason=reason,
        signature=signature,
        key_id=key_id,
        ends_at=granted.ends_at(bounds, now),
    )
    if moved != 1:
        raise ConflictError(LAPSED, code="late")
    told = _told(grant, reason) | {"proposed_by": grant.proposed_by.username}
    audit.record_many([grant_fact("confirmed", grant, user.actor, **told)])
    return _again(grant)


@command
def decline_grant(*, grant_id: UUID, user: User, reason: str) -> Grant:
    """Decline a proposal, or take one's own back. ConflictError where it waits no more."""
    return _end_by(grant_id, user, reason, Grant.State.PROPOSED, Grant.State.DECLINED)


@command
def revoke_grant(*, grant_id: UUID, user: User, reason: str) -> Grant:
    """End a grant at once. Its uses that were not carried out yet are taken back, and people are
    asked. Anybody who decides can. ConflictError where it counts no more."""
    # The answers first, the grant after: as workers do, who hold an answer and read its grant.
    make_void(_unused(grant_id))
    # One that is given between the two is refused when it is to be used, by the grant's state.
    return _end_by(grant_id, user, reason, *COUNTS, Grant.State.REVOKED)


def _unused(grant_id: UUID) -> Any:
    uses = GrantUse.objects.filter(grant=grant_id).values("approval")
    return Approval.objects.filter(UNUSED, pk__in=uses, decided_by=None)


@participant
def _end_by(grant_id: UUID, user: User, reason: str, *states: str) -> Grant:
    *wanted, state = states
    require_able(user)
    if not user.may("approvals.decide"):
        raise NotPermittedError("Only who decides can end a grant.")
    grant = _open(grant_id, *wanted)
    if not reason.strip():
        raise InvalidInputError("Say why.", code="reason", field="reason")
    Grant.objects.filter(pk=grant.pk).update(
        state=state, ended_by=user, ended_at=ClockTimestamp(), ended_why=reason
    )
    told = {"why": reason, "used": grant.used, "of": grant.most_uses}
    audit.record_many([grant_fact(state, grant, user.actor, **told)])
    return _again(grant)


@participant
def _open(grant_id: UUID, *states: str) -> Grant:
    """The grant, its row held: of two who end it at once the second finds it ended."""
    rows = Grant.objects.select_for_update(of=("self",)).filter(pk=grant_id)
    grant = rows.select_related("proposed_by", "source").first()
    if grant is None:
        raise NotFoundError("There is no such grant.")
    until: datetime | None = grant.lapses_at if grant.ends_at is None else grant.ends_at
    if grant.state not in states or until is None or until <= database_now():
        word = grant.get_state_display().lower() if grant.state not in states else "over"
        raise ConflictError(f"It was too late: the grant is {word}.", code="late")
    return grant


def _again(grant: Grant) -> Grant:
    return Grant.objects.select_related("proposed_by", "confirmed_by", "ended_by").get(pk=grant.pk)


def _require_reason(reason: str) -> None:
    if why := reasons.fault(reason):
        raise InvalidInputError(why, code="reason", field="reason")


def _told(grant: Grant, reason: str) -> dict[str, Any]:
    return {"reason": reason, "source": str(grant.source_id), "bounds": grant.bounds}


# --- ends that no person brings about -------------------------------------------------------------


def end_grants_due(limit: int = 200) -> int:
    """End grants whose time is over or whose policy was published anew, and refuse those that
    nobody signed as they stand. None of them would cover anything; here it is said."""
    rows = Grant.objects.filter(state__in=[Grant.State.PROPOSED, Grant.State.ACTIVE])
    rows = rows.exclude(pk__in=UNENDABLE_GRANTS.left_alone())
    ids = rows.order_by(Coalesce("ends_at", "lapses_at"), "pk").values_list("pk", flat=True)
    return sum(deal(list(ids[:limit]), lambda some: [_end_these(some)], UNENDABLE_GRANTS))


@command
def _end_these(ids: Sequence[UUID]) -> int:
    rows = Grant.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=ids)
    rows = rows.filter(state__in=[Grant.State.PROPOSED, Grant.State.ACTIVE])
    now, ended = database_now(), 0
    for grant in rows.select_related("proposed_by", "confirmed_by").order_by("pk"):
        ended += _end_if_due(grant, now)
    return ended


@participant
def _end_if_due(grant: Grant, now: datetime) -> bool:
    is_proposal = grant.state == Grant.State.PROPOSED
    until = grant.lapses_at if is_proposal else grant.ends_at
    try:
        if why := why_not_proposed(grant) if is_proposal else why_not_granted(grant):
            refuse(grant, why)
            return True
    except KeyFileError:
        return False
    bounds = bounds_of(grant)
    current = policies.current_digest(bounds.policy) if bounds.policy else ""
    if until is None or until <= now:
        end(grant, Grant.State.ENDED, LAPSED if is_proposal else OVER)
    elif current and current != bounds.pins["policy_digest"]:
        end(grant, Grant.State.VOID, ANOTHER_POLICY)
    else:
        return False
    return True


@participant
def void_grants(why: str, **of: Any) -> int:
    """End the grants of a job or a tool that isn't what they were given for."""
    rows = Grant.objects.select_for_update(of=("self",)).filter(**of)
    found = list(rows.filter(state__in=[Grant.State.PROPOSED, Grant.State.ACTIVE]).order_by("pk"))
    for grant in found:
        end(grant, Grant.State.VOID, why)
    return len(found)
