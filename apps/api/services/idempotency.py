"""Carry a request out once, however often it comes: after a time-out, a lost answer, a crash.

Three short transactions, so that nothing is held while the work is done: the key is claimed, the
work is done under an id that was stored with the key, the answer is stored. Whatever dies in
between, the next request with the key finds how far it came: the stored answer, or the work by its
id, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from apps.api.domain import idempotency as rules
from apps.api.domain.idempotency import KeyVerdict, Known
from apps.api.models import Idempotency
from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.kernel.errors import ConflictError, InvalidInputError, TowerError
from apps.kernel.failpoints import reach
from apps.kernel.ids import new_id
from apps.kernel.statements import database_now, execute, fetch
from apps.kernel.transactions import command

PRUNED = 500  # outlived keys that one request takes away with it
PRUNING_EACH = 25  # new keys to one that does so


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """What was asked, by whom, under which key."""

    account_id: int
    actor: Actor
    key: str
    operation: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class KeyedResponse:
    """An answer. ``is_final``: it is stored and given again; otherwise the key is free again, since
    nothing was done. ``retry_after``: whole seconds."""

    status: int
    body: str
    is_final: bool = True
    is_replay: bool = False
    retry_after: int | None = None
    location: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work of a key until its lease ends. ``is_first``: nobody had it before,
    so there is nothing to look for."""

    id: int
    number: int
    resource_id: UUID
    is_first: bool


Work = Callable[[UUID, bool], KeyedResponse]


def answer_once(request: KeyedRequest, work: Work) -> KeyedResponse:
    """The stored answer if there is one, else that of ``work(resource_id, is_first)``, which must
    find its own result by the id when it isn't the first. ConflictError while another request is at
    work, InvalidInputError when the key belongs to another request."""
    claimed = claim(request)
    if isinstance(claimed, KeyedResponse):
        return claimed
    reach("api_claimed")
    try:
        answer = work(claimed.resource_id, claimed.is_first)
    except TowerError:
        # Refused before anything was written: the request may be mended and sent again.
        release(claimed)
        raise
    # Any other error leaves the key claimed until its lease ends: the work may have been committed
    # although its answer was lost, and who comes next will look for it.
    if not answer.is_final:
        release(claimed)
        return answer
    reach("api_worked")
    return settle(claimed, answer)


# One statement is one transaction. This commit may be flushed with the next one: the work's own
# commit comes later in the same log, so no crash can keep the work and lose the claim.
_INSERT = """
INSERT INTO api_idempotency (account_id, key, operation, fingerprint, resource_id, is_done, claims,
    claimed_until, body, expires_at)
SELECT %s, %s, %s, %s, %s, false, 1, clock_timestamp() + %s, '', clock_timestamp() + %s
FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (account_id, key) DO NOTHING RETURNING id
"""
_PRUNE = """
DELETE FROM api_idempotency WHERE id IN (
    SELECT id FROM api_idempotency WHERE expires_at < clock_timestamp()
      AND claimed_until < clock_timestamp()
    ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


def claim(request: KeyedRequest) -> Claim | KeyedResponse:
    """Take the key, or say why not. The unique index lets one of many identical requests in: the
    others find its row."""
    fresh = new_id()
    values = [request.account_id, request.key, request.operation, request.fingerprint, fresh]
    if row := fetch(_INSERT, [*values, rules.LEASE, rules.KEPT]):
        return Claim(row[0][0], 1, fresh, True)
    return _met(request)


@command
def _met(request: KeyedRequest) -> Claim | KeyedResponse:
    """What the row that is there already means for this request. Locked, so that of many who find a
    dead request's key one takes it over and the others see that it is taken."""
    mine = Idempotency.objects.select_for_update()
    row = mine.filter(account_id=request.account_id, key=request.key).first()
    if row is None:  # freed between the two statements
        raise _at_work(1)
    now = database_now()
    known = Known(row.operation, row.fingerprint, row.is_done, row.claimed_until, row.expires_at)
    verdict = rules.judge(
        known, operation=request.operation, fingerprint=request.fingerprint, now=now
    )
    if verdict == KeyVerdict.REPLAY:
        return _stored(row)
    if verdict == KeyVerdict.WAIT:
        raise _at_work(rules.retry_after(row.claimed_until, now=now))
    if verdict == KeyVerdict.MISMATCH:
        raise InvalidInputError(
            f"This Idempotency-Key was used for another request ({row.operation}).",
            code="idempotency_mismatch",
            field="Idempotency-Key",
            fix="Send a new key with a new request, and the same body with the same key.",
        )
    return _taken(row, request, now, is_renewed=verdict == KeyVerdict.RENEW)


def _taken(row: Idempotency, request: KeyedRequest, now: datetime, *, is_renewed: bool) -> Claim:
    row.claims += 1
    row.claimed_until = now + rules.LEASE
    if is_renewed:
        row.resource_id = new_id()
        row.operation, row.fingerprint = request.operation, request.fingerprint
        row.is_done, row.status, row.body = False, None, ""
        row.expires_at = now + rules.KEPT
    row.save()
    if not is_renewed:
        record(
            kind="api.taken_over",
            actor=request.actor,
            subject_type="api_request",
            subject_id=row.pk,
            payload={"operation": row.operation, "claims": row.claims},
        )
    return Claim(row.pk, row.claims, row.resource_id, is_renewed)


_SETTLE = """
UPDATE api_idempotency SET is_done = true, status = %s, body = %s
WHERE id = %s AND resource_id = %s AND NOT is_done
"""


def settle(claimed: Claim, answer: KeyedResponse) -> KeyedResponse:
    """Store the answer. Guarded: if another request took over and was quicker, its answer about the
    same work is the one that everybody gets."""
    if claimed.id % PRUNING_EACH == 0:
        execute(_PRUNE, [PRUNED])
    mine = [claimed.id, claimed.resource_id]
    if execute(_SETTLE, [answer.status, answer.body, *mine]):
        return answer
    row = Idempotency.objects.filter(pk=mine[0], resource_id=mine[1], is_done=True).first()
    return replace(_stored(row), status=answer.status, is_replay=False) if row else answer


@command
def release(claimed: Claim) -> None:
    """Free a key under which nothing was done. Guarded: a key that another request took over is
    its own."""
    Idempotency.objects.filter(pk=claimed.id, claims=claimed.number, is_done=False).delete()


def _stored(row: Idempotency) -> KeyedResponse:
    return KeyedResponse(status=200, body=row.body, is_replay=True)


def _at_work(retry_after: int) -> ConflictError:
    return ConflictError(
        "The first request with this Idempotency-Key is still being carried out.",
        code="idempotency_running",
        retry_after=retry_after,
        fix="Send the same request again after that many seconds.",
    )
