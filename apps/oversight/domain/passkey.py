"""An approval signed by its person with a passkey: which question asks for it, and what is signed.

The challenge that the device signs (WebAuthn level 2, 13.4.3) is no random number but the digest of
the decision: of exactly this question, by this person, on this sheet. A sheet's nonce counts once,
so the signature does too, and it fits nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.kernel.canonical import digest

PURPOSE = "tower.approval.passkey.v1"
MISSING = (
    "The policy asks whoever approves for a passkey, and you have none for this address. Add one on"
    " the page of how you log in, or let somebody approve who has one."
)
NO_NAME = (
    "The policy asks whoever approves for a passkey, and passkeys need an address with a name: open"
    " the tower by its name, not by an IP address."
)
NOT_SHOWN = (
    "The policy asks for your passkey, and none was shown: approve again, and let your device sign."
    " That takes a browser with script."
)


def is_wanted(rules: Any) -> bool:
    """Whether a rule that asks (as ``Approval.rules`` keeps them) wants a passkey."""
    known = rules if isinstance(rules, list) else ()
    return any(isinstance(rule, Mapping) and rule.get("passkey") is True for rule in known)


def challenge_of(*, approval_id: str, asked: str, user_id: int, nonce: str) -> bytes:
    """What the device has to sign for an approval: 32 bytes. ``asked``: the question's digest."""
    bound = {"approval": approval_id, "asked": asked, "user": user_id, "nonce": nonce}
    return bytes.fromhex(digest({**bound, "answer": "approve"}, purpose=PURPOSE))
