"""Signatures of grants and of their uses: given when people act, checked at each use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.oversight import adapters
from apps.oversight.domain import granted
from apps.oversight.domain.granted import GrantSignature
from apps.oversight.domain.grants import GrantBounds
from apps.oversight.models import Approval, Grant, GrantUse
from apps.oversight.services.rows import asked_of

UNREADABLE = "What is stored of the grant can't be read any more."


def bounds_of(grant: Grant) -> GrantBounds:
    """What the grant was given for. Raises ``ValueError`` where that can't be read."""
    return GrantBounds.from_json(grant.bounds)


def sign_proposal(bounds: GrantBounds, said: GrantSignature) -> tuple[str, str]:
    """The proposer's signature and the id of the key."""
    return adapters.sign(granted.proposal_payload(bounds, said), purpose=granted.PURPOSE)


def sign_confirmation(
    bounds: GrantBounds, proposed: GrantSignature, said: GrantSignature
) -> tuple[str, str]:
    """The same of whoever confirms."""
    payload = granted.confirmation_payload(bounds, proposed, said)
    return adapters.sign(payload, purpose=granted.PURPOSE)


def sign_use(approval: Approval, grant: Grant, *, number: int, at: datetime) -> tuple[str, str]:
    """The tower's signature of one use, and the id of the key. Raises ``KeyFileError``."""
    payload = granted.use_payload(asked_of(approval), bounds_of(grant), grant.signature, number, at)
    return adapters.sign_as_a_machine(payload, purpose=granted.PURPOSE)


def proposal_of(grant: Grant) -> GrantSignature:
    """The stored proposal as it was signed. Its person has to be loaded."""
    return GrantSignature(
        user=grant.proposed_by.username,
        user_id=grant.proposed_by_id,
        reason=grant.reason,
        at=grant.proposed_at,
        signature=grant.proposal_signature,
        key_id=grant.proposal_key,
    )


def _confirmation_of(grant: Grant) -> GrantSignature:
    if grant.confirmed_by is None or grant.confirmed_at is None:
        raise ValueError("Nobody is named as having confirmed it.")
    return GrantSignature(
        user=grant.confirmed_by.username,
        user_id=grant.confirmed_by.pk,
        reason=grant.confirm_reason,
        at=grant.confirmed_at,
        signature=grant.signature,
        key_id=grant.key_id,
    )


def signed_by_proposal(grant: Grant) -> dict[str, Any]:
    """What the proposer's signature covers, as it is stored."""
    return granted.proposal_payload(bounds_of(grant), proposal_of(grant))


def signed_by_confirmation(grant: Grant) -> dict[str, Any]:
    """The same of whoever confirmed."""
    bounds = bounds_of(grant)
    return granted.confirmation_payload(bounds, proposal_of(grant), _confirmation_of(grant))


def signed_by_use(approval: Approval, use: GrantUse) -> dict[str, Any]:
    """What the tower's signature of a use covers, as it is stored."""
    asked, bounds = asked_of(approval), bounds_of(use.grant)
    return granted.use_payload(asked, bounds, use.grant.signature, use.number, use.at)


def why_not_proposed(grant: Grant) -> str:
    """Why its proposer did not sign the proposal as it is stored; nothing if they did."""
    try:
        fits = _check(signed_by_proposal(grant), grant.proposal_signature, grant.proposal_key)
    except ValueError:
        return UNREADABLE
    return "" if fits and _columns_fit(grant) else "The signature does not fit the proposal."


def why_not_granted(grant: Grant) -> str:
    """Why two people did not sign the grant as it is stored, columns beside the bounds included;
    nothing if they did. Raises ``KeyFileError`` where nobody can tell."""
    try:
        bounds, confirmed = bounds_of(grant), _confirmation_of(grant)
        why = granted.why_not_signed(bounds, proposal_of(grant), confirmed, _check)
    except ValueError:
        return UNREADABLE
    if why:
        return why
    ends_right = grant.ends_at == granted.ends_at(bounds, confirmed.at)
    return "" if ends_right and _columns_fit(grant) else "Its row is not what was signed."


def why_not_a_use(approval: Approval, use: GrantUse) -> str:
    """Why this answer is not the use of a grant as it is stored; nothing if it is. The grant, with
    its people, has to be loaded. Raises ``KeyFileError`` where nobody can tell."""
    if why := why_not_granted(use.grant):
        return why
    if approval.decided_at != use.at or not 0 < use.number <= use.grant.most_uses:
        return "It is the use of another moment, or one too many."
    try:
        fits = _check(signed_by_use(approval, use), approval.signature, approval.key_id)
    except ValueError:
        return UNREADABLE
    return "" if fits else "The signature does not fit the use of the grant."


def _columns_fit(grant: Grant) -> bool:
    """Whether what stands beside the bounds, to be found by, says the same as they do."""
    bounds = bounds_of(grant)
    return (
        (str(grant.pk), str(grant.source_id)) == (bounds.id, bounds.source)
        and grant.most_uses == bounds.count
        and bounds.pins["tool"] == f"{grant.domain_slug}/{grant.tool_name}"
        and bounds.pins["job"].startswith(f"{grant.domain_slug}/{grant.job_slug}@")
    )


def _check(payload: Mapping[str, Any], signature: str, key_id: str) -> bool:
    return adapters.verify(payload, signature, key_id, purpose=granted.PURPOSE)
