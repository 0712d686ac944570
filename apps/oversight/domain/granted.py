"""What the signatures of a grant cover, and whether what is stored is what was signed.

Three texts are signed: the proposal by whoever proposes it, over all of its bounds; its
confirmation by a second person, over the proposal's signature and the moment at which it ends; and
each use by the tower, over the question as it was asked and the confirmation. Of a grant whose row
was altered none fits, nor does a signature that was copied from another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.oversight.domain.grants import GrantBounds
from apps.oversight.domain.signed import SignedQuestion

PURPOSE = b"tower.grant.v1\x00"
Check = Callable[[Mapping[str, Any], str, str], bool]


@dataclass(frozen=True, slots=True)
class GrantSignature:
    """One person's word on a grant."""

    user: str
    user_id: int
    reason: str
    at: datetime
    signature: str = ""
    key_id: str = ""


def proposal_payload(bounds: GrantBounds, proposed: GrantSignature) -> dict[str, Any]:
    """What the proposer's signature covers."""
    return _payload(bounds, proposed) | {"what": "grant proposal"}


def confirmation_payload(
    bounds: GrantBounds, proposed: GrantSignature, confirmed: GrantSignature
) -> dict[str, Any]:
    """What the second person's signature covers: the first's too, and when the grant ends."""
    return _payload(bounds, confirmed) | {
        "what": "grant",
        "proposal": f"{proposed.user}:{proposed.signature}",
        "ends_at": ends_at(bounds, confirmed.at).isoformat(),
    }


def use_payload(
    asked: SignedQuestion, bounds: GrantBounds, confirmation: str, number: int, at: datetime
) -> dict[str, Any]:
    """What the tower signs of one use: this very question, and which use of which grant it is."""
    return {
        **asked.payload(),
        "what": "grant use",
        "v": 1,
        "grant": bounds.digest,
        "grant_id": bounds.id,
        "confirmation": confirmation,
        "number": number,
        "at": at.isoformat(),
    }


def ends_at(bounds: GrantBounds, confirmed_at: datetime) -> datetime:
    """When a grant ends that was confirmed then."""
    return confirmed_at + timedelta(hours=bounds.hours)


def why_not_signed(
    bounds: GrantBounds, proposed: GrantSignature, confirmed: GrantSignature, check: Check
) -> str:
    """Why two people did not sign this grant as it is stored; nothing if they did."""
    if proposed.user_id == confirmed.user_id or proposed.user == confirmed.user:
        return "One person proposed and confirmed it."
    if not check(proposal_payload(bounds, proposed), proposed.signature, proposed.key_id):
        return f"The signature does not fit what {proposed.user} proposed."
    payload = confirmation_payload(bounds, proposed, confirmed)
    if not check(payload, confirmed.signature, confirmed.key_id):
        return f"The signature does not fit what {confirmed.user} confirmed."
    return ""


def _payload(bounds: GrantBounds, said: GrantSignature) -> dict[str, Any]:
    return {
        "v": 1,
        "grant": bounds.digest,
        "grant_id": bounds.id,
        "user": said.user,
        "user_id": said.user_id,
        "reason_sha256": hashlib.sha256(said.reason.encode(errors="surrogatepass")).hexdigest(),
        "at": said.at.isoformat(),
    }
