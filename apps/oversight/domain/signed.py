"""What people's answers are signed over, and whether what is stored is still what they signed.

Each vote is signed as it is given, over the question as it was shown; the decision that settles the
question is signed over the signatures of its votes. Nothing here reads keys or rows: whoever asks
brings a ``check(payload, signature, key_id)`` that says whether that key signed it and counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.kernel.canonical import digest

Check = Callable[[Mapping[str, Any], str, str], bool]

SHOWN_PURPOSE = "tower.shown.v1"
PASSKEY_PURPOSE = "tower.passkey-proof.v1"
SHOWN = (
    *("sentence", "tool_name", "agent_slug", "customer", "amount_cents", "risk"),
    *("arguments", "preview", "facts", "rules", "agent_text"),
)


@dataclass(frozen=True, slots=True)
class SignedQuestion:
    """The question that an answer is to, as it is stored. ``shown``: what the person saw of it, the
    columns that ``SHOWN`` names."""

    approval_id: str
    decision_id: str
    run_id: str
    step_id: str
    digest: str
    contract: str  # job@number
    policy: str
    votes_required: int
    shown: Mapping[str, Any]

    def payload(self) -> dict[str, Any]:
        return {
            "approval_id": self.approval_id,
            "decision_id": self.decision_id,
            "run_id": self.run_id,
            "step_id": self.step_id,
            "digest": self.digest,
            "shown_sha256": digest(dict(self.shown), purpose=SHOWN_PURPOSE),
            "contract": self.contract,
            "policy": self.policy,
            "votes_required": self.votes_required,
        }


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One person's answer with its signature."""

    user: str
    user_id: int
    approve: bool
    reason: str
    digest: str
    nonce: str
    at: datetime
    signature: str = ""
    key_id: str = ""
    passkey: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SignedDecision:
    """How a question was settled, with its signature."""

    state: str
    user: str
    reason: str
    at: datetime
    signature: str = ""
    key_id: str = ""


def vote_payload(asked: SignedQuestion, vote: SignedVote) -> dict[str, Any]:
    """What one vote's signature covers; also what its person's passkey signed, if one did."""
    signed = {} if vote.passkey is None else {"passkey_sha256": _proof(vote.passkey)}
    return {
        **signed,
        **asked.payload(),
        "what": "vote",
        "v": 2,
        "digest": vote.digest,
        "vote": "approve" if vote.approve else "reject",
        "user": vote.user,
        "user_id": vote.user_id,
        "reason_sha256": _sha256(vote.reason),
        "nonce": vote.nonce,
        "at": vote.at.isoformat(),
    }


def decision_payload(
    asked: SignedQuestion, decision: SignedDecision, votes: Sequence[SignedVote]
) -> dict[str, Any]:
    """What the signature of the answer that settles a question covers: that of each vote too, so no
    vote can be added, taken away or exchanged."""
    return {
        **asked.payload(),
        "what": "decision",
        "v": 2,
        "decision": decision.state,
        "user": decision.user,
        "reason_sha256": _sha256(decision.reason),
        "votes": sorted(f"{vote.user}:{vote.signature}" for vote in votes),
        "at": decision.at.isoformat(),
    }


def why_not_signed(
    asked: SignedQuestion, decision: SignedDecision, votes: Sequence[SignedVote], check: Check
) -> str:
    """Why this answer is not what people signed; nothing if it is. First the decision, then each
    vote, since the decision names its votes."""
    if not decision.signature:
        return "The answer has no signature."
    if not check(decision_payload(asked, decision, votes), decision.signature, decision.key_id):
        return "The signature does not fit the answer."
    return next((why for vote in votes if (why := why_vote_not_signed(asked, vote, check))), "")


def why_vote_not_signed(asked: SignedQuestion, vote: SignedVote, check: Check) -> str:
    """Why this vote is not what its person signed about this question; nothing if it is."""
    if not vote.signature:
        return f"The vote of {vote.user} has no signature."
    is_about_it = vote.digest == asked.digest
    if is_about_it and check(vote_payload(asked, vote), vote.signature, vote.key_id):
        return ""
    return f"The signature does not fit the vote of {vote.user}."


def first_payload(
    asked: SignedQuestion, decision: SignedDecision, voters: Collection[str]
) -> dict[str, Any]:
    """What the signature covered before votes were signed each: it named the voters."""
    kept = ("approval_id", "decision_id", "run_id", "step_id", "digest", "contract", "policy")
    return {
        "v": 1,
        **{name: value for name, value in asked.payload().items() if name in kept},
        "decision": decision.state,
        "user": decision.user,
        "votes": sorted(voters),
        "reason_sha256": _sha256(decision.reason),
        "at": decision.at.isoformat(),
    }


def _proof(passkey: Any) -> str:
    return digest({"proof": passkey}, purpose=PASSKEY_PURPOSE)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
