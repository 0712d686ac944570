"""What proves the answers of people in a bundle of the audit log: the texts that were signed, the
signatures, and the public keys."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apps.audit.selectors import Stored
from apps.kernel.canonical import canonical_bytes
from apps.oversight import adapters
from apps.oversight.domain.signed import SHOWN
from apps.oversight.models import Approval, GrantUse, Vote
from apps.oversight.selectors.grants import uses_of
from apps.oversight.services import grant_seals, proving

ANSWERED = ("approval.approved", "approval.rejected")
Entry = tuple[str, dict[str, Any]]


def keys() -> Iterator[Entry]:
    """The key ring."""
    for known in adapters.ring().values():
        public = base64.b64encode(known.key.public_bytes_raw()).decode()
        told = {"id": known.key_id, "public": public, "added": known.added}
        yield "key", told | {"revoked": known.revoked}


def answers(events: Sequence[Stored]) -> Iterator[Entry]:
    """The answers that these events tell of."""
    ids = dict.fromkeys(e.subject_id for e in events if e.kind in ANSWERED)
    rows = Approval.objects.filter(pk__in=list(ids)).select_related("decided_by")
    votes: dict[Any, list[Vote]] = {}
    for vote in Vote.objects.filter(approval__in=rows).select_related("user").order_by("at"):
        votes.setdefault(vote.approval_id, []).append(vote)
    uses = uses_of([row.pk for row in rows if row.decided_by_id is None])
    for row in rows.order_by("pk"):
        told = _answer(row, votes.get(row.pk, []))
        yield "approval", told | (_by_grant(row, uses[row.pk]) if row.pk in uses else {})


def _by_grant(row: Approval, use: GrantUse) -> dict[str, Any]:
    """What proves the answer that a grant gave: the grant, signed by two people, and its use."""
    grant = use.grant
    signed = {"signature": row.signature, "key": row.key_id}
    return {
        "decision": signed | {"signed": _text(lambda: grant_seals.signed_by_use(row, use))},
        "grant": {
            "bounds": _text(lambda: dict(grant.bounds)),
            "proposal": {
                "signed": _text(lambda: grant_seals.signed_by_proposal(grant)),
                "signature": grant.proposal_signature,
                "key": grant.proposal_key,
            },
            "confirmation": {
                "signed": _text(lambda: grant_seals.signed_by_confirmation(grant)),
                "signature": grant.signature,
                "key": grant.key_id,
            },
        },
    }


def _answer(row: Approval, votes: Sequence[Vote]) -> dict[str, Any]:
    decision = {"signature": row.signature, "key": row.key_id}
    return {
        "id": str(row.pk),
        "state": "approved" if row.state == Approval.State.VOID else row.state,
        "reason": row.reason,
        "binding": _text(lambda: dict(row.bound_to)),
        "shown": _text(lambda: {column: getattr(row, column) for column in SHOWN}),
        "decision": decision | {"signed": _text(lambda: proving.signed_by(row, votes))},
        "votes": [
            {
                "signed": _text(lambda vote=vote: proving.signed_by_vote(row, vote)),
                "signature": vote.signature,
                "key": vote.key_id,
            }
            for vote in votes
        ],
    }


def _text(make: Callable[[], Mapping[str, Any]]) -> str:
    """The canonical text; empty for what can't have been signed, which then doesn't fit."""
    try:
        return canonical_bytes(make()).decode()
    except (ValueError, TypeError):
        return ""
