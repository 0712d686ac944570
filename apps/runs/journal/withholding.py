"""Calls that were about to be made when something came in their way.

A call may wait in its worker for a place at the tool, long after it was claimed. About once a
second the worker asks which of its calls something holds by now; such a call is not made when its
turn comes, and the step goes back to the queue as if it had never been tried: its attempt is taken
back, so that stops and breakers never use up a step's attempts. Fenced by the lease's token.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult
from apps.kernel.transactions import participant
from apps.runs.journal import barriers, breakers, execute
from apps.runs.work import Claimed, Finished

WITHHELD = CallResult(Ending.NOT_SENT, error_class="withheld", error="not sent: it was stopped")


@participant
def look(works: Sequence[Claimed]) -> set[int]:
    """The tokens of those steps that something holds now. Without works nothing is asked."""
    found = barriers.read(breakers.hosts(w.domain_slug for w in works)) if works else None
    if found is None or found.empty:
        return set()
    held = {
        s.step_id for s in barriers.subjects(works) if barriers.barrier_of(found, s) is not None
    }
    return {w.lease_token for w in works if w.step_id in held}


@participant
def put_back(finished: Sequence[Finished]) -> list[Finished]:
    """Give the withheld ones among ``finished`` back to the queue, due at once: the next claim
    meets what holds them and says so. Returns the others."""
    held = [d for d in finished if d.result is WITHHELD]
    if held:
        execute(
            """
            WITH back AS (
                UPDATE runs_step s SET state = 'queued', attempts_made = v.number - 1,
                    not_before = clock_timestamp(), lease_token = NULL, lease_until = NULL,
                    lease_owner = ''
                FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::int[])
                    AS v(id, lease_token, attempt_id, number)
                WHERE s.id = v.id AND s.lease_token = v.lease_token AND s.state = 'running'
                RETURNING v.attempt_id
            )
            DELETE FROM runs_attempt a USING back WHERE a.id = back.attempt_id
            """,
            [
                [d.action.work.step_id for d in held],
                [d.action.work.lease_token for d in held],
                [d.action.attempt_id for d in held],
                [d.action.number for d in held],
            ],
        )
    return [d for d in finished if d.result is not WITHHELD]
