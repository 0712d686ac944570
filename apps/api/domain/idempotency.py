"""A request that comes twice is carried out once: the rules, without a database.

The header is the ``Idempotency-Key`` of draft-ietf-httpapi-idempotency-key-header: the same key
with the same request again gets the stored answer, with another request 422, while the first one is
still being carried out 409, and no key where one is needed 400. As at Stripe, an answer is stored
only once the work was begun: a request that was refused for what it says may be mended and sent
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any

from apps.kernel.canonical import digest

KEY_LENGTH = 255
KEPT = timedelta(days=31)  # reliability rule 5: 30 days at least
# How long one request may own its key. Longer than any statement may take (15 s), so that whoever
# takes a key over only meets a request that died, or one whose work is found by the stored id.
LEASE = timedelta(seconds=30)


class KeyVerdict(StrEnum):
    """What a request is to do that found its key taken."""

    REPLAY = "replay"  # the answer is there
    WAIT = "wait"  # the first request is still at work
    MISMATCH = "mismatch"  # the key belongs to another request
    TAKE_OVER = "take_over"  # whoever was at work is gone: go on in its place
    RENEW = "renew"  # the key has outlived its time: as if it had never been used


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored under a key."""

    operation: str
    fingerprint: str
    is_done: bool
    claimed_until: datetime
    expires_at: datetime


def key_problem(key: str) -> str:
    """What is wrong with a key, as a sentence; empty if nothing is. Quotes around it, which the
    draft's structured header has, belong to it: the same client sends the same bytes again."""
    if not key:
        return "This request changes something: send an Idempotency-Key, a fresh UUID for example."
    if len(key) > KEY_LENGTH:
        return f"The Idempotency-Key has {len(key)} characters; {KEY_LENGTH} are the most."
    if not all(" " <= c <= "~" for c in key):
        return "The Idempotency-Key may have printable ASCII characters only."
    return ""


def fingerprint(operation: str, body: Mapping[str, Any]) -> str:
    """What makes two requests the same: method, path and the canonical body, so that the order of
    keys, white space and how a number is spelled don't count."""
    return digest({"operation": operation, "body": body}, purpose="api.request")


def judge(known: Known, *, operation: str, fingerprint: str, now: datetime) -> KeyVerdict:
    """What a request that finds ``known`` under its key has to do."""
    if known.expires_at <= now and (known.is_done or known.claimed_until <= now):
        return KeyVerdict.RENEW
    if (known.operation, known.fingerprint) != (operation, fingerprint):
        return KeyVerdict.MISMATCH
    if known.is_done:
        return KeyVerdict.REPLAY
    return KeyVerdict.WAIT if known.claimed_until > now else KeyVerdict.TAKE_OVER


def retry_after(claimed_until: datetime, *, now: datetime) -> int:
    """Whole seconds after which a request that has to wait may ask again. Requests are quick, so it
    is soon, and never later than the moment at which the key may be taken over."""
    left = ceil((claimed_until - now).total_seconds())
    return max(1, min(left, 2))
