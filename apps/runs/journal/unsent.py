"""Mutations that were intended and certainly not carried out.

One that ends so gives its intent up, in the transaction that ends it: whoever proposes it again is
the first. Whoever looks before that transaction commits finds the step under way, and after it no
owner at all; of two who take the intent then, the unique (run, key) lets one.

A call that was turned away (408, 425, 429), that never reached its tool or that was withheld waits
for its next try, minutes perhaps, and keeps its intent. What is known not to have happened must not
begin once its run was cancelled or its deadline has passed. A keyed one of which an earlier try may
have happened goes on: the same key finds that out, and an unkeyed one never comes to the queue.

The race: a run is cancelled while its call is being turned away. Whichever transaction comes first,
the step is met here when it is claimed, under its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain.retry import NOTHING_CLASSES, NOTHING_STATUSES
from apps.kernel.statements import execute, fetch
from apps.kernel.transactions import participant
from apps.runs.work import Claimed

# ``retry.did_nothing`` of an attempt ``a`` that ended.
_DID_NOTHING = f"""(coalesce(a.http_status, 0) IN ({", ".join(map(str, sorted(NOTHING_STATUSES)))})
            OR a.error_class IN ({", ".join(f"'{one}'" for one in sorted(NOTHING_CLASSES))}))"""
# The engine ends no attempt at a change as “failed” that may have made it (domain.retry).
_MADE_NOTHING = f"(a.outcome = 'failed' OR {_DID_NOTHING})"
# Of a queued or just claimed step ``s``.
MAY_HAVE_HAPPENED = f"""(s.idempotency = 'keyed' AND EXISTS (
    SELECT FROM runs_attempt a WHERE a.step_id = s.id
        AND (a.ended_at IS NULL OR NOT {_DID_NOTHING})))"""

_DROP = f"""
    UPDATE runs_step s SET state = v.state, disposition = v.state, error_class = v.error_class,
        error = v.error, intent_open = false, finished_at = clock_timestamp(),
        lease_token = NULL, lease_until = NULL, lease_owner = ''
    FROM (
        SELECT id, 'cancelled' AS state, '' AS error_class, '' AS error
        FROM runs_run WHERE state = 'cancelled'
        UNION ALL SELECT id, 'failed', 'deadline', 'the deadline of the run passed'
        FROM runs_run WHERE state <> 'cancelled' AND deadline_at <= clock_timestamp()
    ) v
    WHERE v.id = s.run_id AND s.id = ANY(%s) AND s.lease_token = ANY(%s)
      AND s.state = 'running' AND s.intent_open AND NOT {MAY_HAVE_HAPPENED}
    RETURNING s.id, s.run_id, s.state
"""  # noqa: S608  # a constant condition, no input


@participant
def may_have_happened(step_ids: Sequence[UUID]) -> set[UUID]:
    """Of changes whose last attempt did nothing, those of which an earlier one may have."""
    rows = fetch(
        "SELECT s.id FROM runs_step s WHERE s.id = ANY(%s) AND EXISTS ("  # noqa: S608  # a constant condition
        " SELECT FROM runs_attempt a WHERE a.step_id = s.id AND a.number < s.attempts_made"
        f" AND (a.ended_at IS NULL OR NOT {_DID_NOTHING}))",
        [list(step_ids)],
    )
    return {row[0] for row in rows}


@participant
def free(step_ids: Sequence[UUID]) -> None:
    """Give up the changes of those steps that have ended without an attempt that may have made
    them. An attempt of which it isn't written how it ended may have."""
    if step_ids:
        execute(
            "DELETE FROM runs_intent i USING runs_step s WHERE s.id = i.step_id"  # noqa: S608  # a constant condition
            " AND s.id = ANY(%s) AND s.state IN ('failed', 'cancelled') AND NOT EXISTS ("
            " SELECT FROM runs_attempt a WHERE a.step_id = s.id"
            f" AND (a.ended_at IS NULL OR NOT {_MADE_NOTHING}))",
            [list(step_ids)],
        )


@participant
def drop_late(works: Sequence[Claimed], *, actor: Actor) -> list[Claimed]:
    """Of steps that were just claimed, end those that must not begin any more; they give their
    mutations up. Returns the others. Costs nothing where none had begun before."""
    begun = [w for w in works if w.intent_open and w.mutates]
    if not begun:
        return list(works)
    rows = fetch(_DROP, [[w.step_id for w in begun], [w.lease_token for w in begun]])
    late = {row[0] for row in rows}
    if late:
        execute("DELETE FROM runs_intent WHERE step_id = ANY(%s)", [list(late)])
    why = {"why": "it was never carried out, and its run is over"}
    record_many([Fact(f"step.{s}", actor, "step", str(i), run, why) for i, run, s in rows])
    return [w for w in works if w.step_id not in late]
