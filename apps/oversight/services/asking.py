"""Ask people about held steps, and let each answer serve once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.ids import new_id
from apps.kernel.statements import database_now
from apps.kernel.transactions import participant
from apps.oversight.domain.binding import binding_digest
from apps.oversight.models import Approval
from apps.oversight.services.rows import State, fact, make_void, set_next

DEFAULT_WINDOW_S = 4 * 3600
ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Question:
    """One held step. ``shown`` is what the person sees, frozen: columns of ``Approval`` made on
    the server; ``window_s``, how long there is to decide; and ``deadline_at``, when the run ends,
    which is how long a question with ``on_timeout: escalate`` may outlive its window."""

    run_id: UUID
    step_id: UUID
    decision_id: UUID
    binding: Mapping[str, Any]
    risk: int
    rules: Sequence[Mapping[str, Any]]
    roles: Sequence[str]
    votes_required: int
    shown: Mapping[str, Any]


@participant
def request_batch(asks: Sequence[Question]) -> list[UUID]:
    """Open one approval a held step; ids in the order asked. An older open question of the same
    step is void: the step has one question at a time (a unique index holds that)."""
    if not asks:
        return []
    make_void(Approval.objects.filter(step_id__in=[a.step_id for a in asks], state=State.PENDING))
    now = database_now()
    rows = Approval.objects.bulk_create([_row(ask, now) for ask in asks])
    audit.record_many(
        [
            fact("requested", row, GATE, tool=row.tool_name, risk=row.risk, digest=row.digest)
            for row in rows
        ]
    )
    return [row.id for row in rows]


def _row(ask: Question, now: datetime) -> Approval:
    shown = dict(ask.shown)
    window = timedelta(seconds=float(shown.pop("window_s", None) or DEFAULT_WINDOW_S))
    deadline_at = shown.pop("deadline_at", None)
    bound = dict(ask.binding)
    defaults = {
        "sentence": f"Call {bound.get('tool', 'a tool')}",
        "tool_name": str(bound.get("tool", "")).rpartition("/")[2],
        "arguments": {},
        "contract_number": 0,
    }
    row = Approval(
        id=new_id(),
        run_id=ask.run_id,
        step_id=ask.step_id,
        decision_id=ask.decision_id,
        binding=bound,
        digest=binding_digest(bound),
        risk=min(max(ask.risk, 1), 4),
        rules=[dict(rule) for rule in ask.rules],
        roles=list(ask.roles) or ["operator"],
        votes_required=max(ask.votes_required, 1),
        created_at=now,
        expires_at=now + window,
        **{**defaults, **shown},
    )
    if row.on_timeout == ESCALATE and deadline_at is not None and deadline_at > row.expires_at:
        row.ends_at = deadline_at  # without time beyond its window it fails closed with it
    set_next(row, ())
    return row


CONSUME = """
WITH asked AS (
    SELECT id, digest, votes FROM unnest(%s::uuid[], %s::text[], %s::int[]) AS a(id, digest, votes)
), held AS (  -- one order for all, so that two batches can't wait for each other
    SELECT a.id FROM approvals_approval a JOIN asked USING (id) ORDER BY a.id FOR UPDATE OF a
)
UPDATE approvals_approval a SET consumed_at = clock_timestamp()
FROM asked, held
WHERE a.id = asked.id AND a.id = held.id
  AND a.digest = asked.digest AND a.state = 'approved' AND a.consumed_at IS NULL
  AND a.expires_at > clock_timestamp()
  AND (
    SELECT count(*) FROM approvals_vote v JOIN accounts_user u ON u.id = v.user_id
    WHERE v.approval_id = a.id AND v.approve AND v.digest = a.digest
      AND u.is_active AND a.roles @> to_jsonb(u.role)
  ) >= greatest(a.votes_required, asked.votes)
RETURNING a.id, (
    SELECT array_agg(DISTINCT u.role::text ORDER BY u.role::text)
    FROM approvals_vote v JOIN accounts_user u ON u.id = v.user_id
    WHERE v.approval_id = a.id AND v.approve AND u.is_active AND a.roles @> to_jsonb(u.role)
)
"""


@participant
def consume_batch(
    pairs: Sequence[tuple[UUID, str]], *, votes: Mapping[UUID, int] | None = None
) -> dict[UUID, list[str]]:
    """Use up approvals, each once: ``(id, digest)`` in, the roles that approved out, for those
    that hold. One guarded statement: two workers that bring the same approval can't both get it.
    Who approved must still be allowed to when the answer is used, not only when it was given, and
    there must be as many of them as the question wanted and as ``votes`` says now."""
    if not pairs:
        return {}
    wanted = [(votes or {}).get(i, 1) for i, _ in pairs]
    with connection.cursor() as cursor:
        cursor.execute(CONSUME, [[str(i) for i, _ in pairs], [d for _, d in pairs], wanted])
        used = {row[0]: list(row[1]) for row in cursor.fetchall()}
    rows = Approval.objects.filter(id__in=used).only("id", "run_id", "step_id")
    audit.record_many([fact("consumed", row, GATE) for row in rows])
    return used


@participant
def consume(approval_id: UUID, digest: str) -> bool:
    """Use up one approval. False if it doesn't hold, or was used before."""
    return approval_id in consume_batch([(approval_id, digest)])
