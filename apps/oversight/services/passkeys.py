"""Approvals that their people sign with a passkey, where the policy asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.accounts.adapters import passkeys
from apps.accounts.adapters.passkeys import RefusedPasskeyError, RelyingParty
from apps.accounts.models import User
from apps.accounts.services import factors
from apps.accounts.services.factors import ShownPasskey
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.transactions import participant
from apps.oversight.domain import passkey
from apps.oversight.models import Approval, Vote


def why_no_passkey(approval: Approval, user: User, site: RelyingParty) -> str:
    """Why this person can't sign an approval of it at this address; nothing if they can, or if
    nothing asks for it."""
    if not approval.wants_passkey:
        return ""
    if not site.has_a_name:
        return passkey.NO_NAME
    return "" if factors.passkeys_at(site, user) else passkey.MISSING


def ask_for_passkey(
    *, approval: Approval, user: User, site: RelyingParty, digest: str, nonce: str
) -> dict[str, Any]:
    """What the browser asks this person's device for, to approve it from the sheet with ``nonce``.
    Raises ConflictError where another question was shown, InvalidInputError where there is no
    passkey to ask for."""
    if digest != approval.digest:
        raise ConflictError("This is not the request that you opened: load it anew.", code="digest")
    if why := why_no_passkey(approval, user, site):
        raise InvalidInputError(why, code="passkey")
    known = factors.passkeys_at(site, user)
    return passkeys.begin_asking(site, known, challenge=_challenge(approval, user.pk, nonce))[0]


@participant
def signed_with_passkey(
    approval: Approval, user: User, *, nonce: str, shown: ShownPasskey | None
) -> dict[str, Any] | None:
    """What proves that this person's passkey signed an approval of exactly this; ``None`` where
    nothing asks for it. InvalidInputError where it did not."""
    if not approval.wants_passkey:
        return None
    if shown is None:
        raise InvalidInputError(passkey.NOT_SHOWN, code="passkey")
    challenge = _challenge(approval, user.pk, nonce)
    try:
        return factors.sign_with_passkey(user=user, shown=shown, challenge=challenge)
    except RefusedPasskeyError as error:
        raise InvalidInputError(f"{error} Approve again.", code="passkey") from error


def without_passkey(approval: Approval, votes: Sequence[Vote]) -> set[int]:
    """Which of these votes, by key, lack the passkey that the question asks for. It has to be its
    person's still, and to have signed exactly this."""
    if not approval.wants_passkey:
        return set()
    return {
        vote.pk
        for vote in votes
        if not factors.was_signed(
            user=vote.user,
            challenge=_challenge(approval, vote.user_id, vote.nonce),
            proof=vote.passkey,
        )
    }


def _challenge(approval: Approval, user_id: int, nonce: str) -> bytes:
    return passkey.challenge_of(
        approval_id=str(approval.pk), asked=approval.digest, user_id=user_id, nonce=nonce
    )
