"""Claiming: due steps are locked, what can't run now is parked, the rest is leased.

A batch of due steps is locked in order of urgency (``FOR UPDATE SKIP LOCKED``: two claimers never
see the same step). What a breaker, a stop, a pause or a cap holds back leaves the head of the queue
with the reason and the time when it is looked at again, so that a claim costs the same however much
waits. The rest gets a lease with a fencing token from a sequence.

A step that was lost with two workers is a suspect. Suspects are claimed in small groups, and after
one more loss alone, so that a step which takes its worker with it can be told from those that
happened to be beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any
from uuid import UUID

from apps.calls.domain import context
from apps.kernel import trouble
from apps.kernel.statements import from_json_whole
from apps.kernel.transactions import participant
from apps.runs.domain.suspicion import ALONE, FEW, MANY, ClaimGroup, claim_group_of
from apps.runs.journal import execute, fetch
from apps.runs.models import PARKED_UNTIL, Step
from apps.runs.work import Claimed

UNREADABLE = "unreadable"  # error class of a proposal that could not be kept as it was
_OF_STEP = {f.column for f in Step._meta.concrete_fields}
_READ = {
    "step_id": "s.id",
    "unreadable": f"CASE WHEN s.error_class = '{UNREADABLE}' THEN s.error ELSE '' END",
}


def columns_read(**others: str) -> str:
    """What is selected for a ``Claimed``, each field without a default being the column of that
    name of the step or else of its run; ``others``: what is read instead of some."""
    read = _READ | others
    names = (f.name for f in fields(Claimed) if f.default is f.default_factory is MISSING)
    return ", ".join(read.get(n) or f"{'s' if n in _OF_STEP else 'r'}.{n}" for n in names)


def as_claimed(row: tuple[Any, ...]) -> Claimed:
    """A row of ``columns_read``. One whose arguments nobody can read says so."""
    work = Claimed(*row)
    work.context = _context(work.context)
    try:
        work.arguments = from_json_whole(work.arguments)
    except Exception as error:  # whatever is wrong is this row's, and ends this step
        work.arguments = {}
        work.unreadable = f"The arguments can't be read: {trouble.words(error)}."
    return work


def _context(stored: object) -> dict[str, str]:
    try:
        return context.told(from_json_whole(stored))
    except Exception:  # nobody can read it: then nothing of it is told
        return {}


def _due(columns: str, group: ClaimGroup, chosen: str = "") -> str:
    return f"""
    SELECT {columns} FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    WHERE s.lane = %s AND s.state = 'queued' AND s.not_before <= clock_timestamp()
      AND s.lease_losses >= {group.low} AND s.lease_losses <= {group.high}
      AND r.engine_version <= %s {chosen}
    ORDER BY s.priority, s.not_before, s.id
    LIMIT %s
"""  # noqa: S608  # constants, no input


_LOCK = "FOR UPDATE OF s SKIP LOCKED"  # of two claimers neither waits for the other's steps
_DUE = {c: f"{_due(columns_read(), c)} {_LOCK}" for c in (MANY, FEW, ALONE)}
_CHOSEN = {
    c: f"{_due(columns_read(), c, 'AND s.id = ANY(%s)')} {_LOCK}" for c in (MANY, FEW, ALONE)
}
_IDS = {c: _due("s.id", c) for c in (MANY, FEW, ALONE)}
_SUSPECTS = f"""
    SELECT min(lease_losses) FROM runs_step WHERE lane = %s AND state = 'queued'
        AND lease_losses >= {FEW.low} AND not_before <= clock_timestamp()
"""  # noqa: S608  # a constant that the index names too

_IS_DUE = """
    SELECT EXISTS (SELECT FROM runs_step WHERE lane = %s AND state = 'queued'
        AND not_before <= clock_timestamp() AND lease_losses < %s)
"""


def is_due(lane: str) -> bool:
    """Whether a claim may find anything: one statement without a transaction or a lock, for whoever
    looks again and again."""
    return bool(fetch(_IS_DUE, [lane, FEW.low])[0][0])


def suspects(lane: str) -> ClaimGroup | None:
    """The claim group in which the least suspected of the due suspects may be claimed, if there are
    any: innocent ones are many, and soon cleared."""
    losses = fetch(_SUSPECTS, [lane])[0][0]
    return None if losses is None else claim_group_of(losses)


@dataclass(frozen=True, slots=True)
class Parked:
    """A due step that can't run now: why, and for how long it need not be looked at. Without a
    time it waits until whoever holds it back lets it go."""

    step_id: UUID
    waits_for: str
    retry_in_s: float | None


@participant
def due(
    lane: str,
    *,
    limit: int,
    engine_version: int,
    group: ClaimGroup = MANY,
    chosen: Sequence[UUID] | None = None,
) -> list[Claimed]:
    """Lock up to ``limit`` due steps of a lane that may be tried in this claim group, most urgent
    first; only those that are ``chosen``, where some are. Runs that a later release of the engine
    began are left to its workers."""
    most = min(limit, group.most)
    if chosen is None:
        rows = fetch(_DUE[group], [lane, engine_version, most])
    else:
        rows = fetch(_CHOSEN[group], [lane, engine_version, list(chosen), most])
    return [as_claimed(row) for row in rows]


def due_ids(lane: str, *, limit: int, engine_version: int, group: ClaimGroup = MANY) -> list[UUID]:
    """The ids of what ``due`` would lock, without a lock and without anything that came from
    outside."""
    rows = fetch(_IDS[group], [lane, engine_version, min(limit, group.most)])
    return [row[0] for row in rows]


@participant
def lease(works: Sequence[Claimed], *, owner: str, lease_s: float) -> list[Claimed]:
    """Lease locked steps to ``owner`` and mark their runs running. Fills in the tokens."""
    if not works:
        return []
    # Locked since they were found due; the state is asked again for steps that were given by id.
    rows = fetch(
        """
        WITH leased AS (
            UPDATE runs_step s SET state = 'running', lease_token = nextval('runs_fencing_token'),
                lease_until = clock_timestamp() + make_interval(secs => %s), lease_owner = %s,
                waits_for = '', started_at = coalesce(s.started_at, clock_timestamp())
            WHERE s.id = ANY(%s) AND s.state = 'queued' RETURNING s.id, s.run_id, s.lease_token
        ), begun AS (
            UPDATE runs_run r SET state = 'running',
                started_at = coalesce(r.started_at, clock_timestamp())
            FROM leased s WHERE r.id = s.run_id AND r.state IN ('queued', 'waiting_approval')
        )
        SELECT id, lease_token FROM leased
        """,
        [lease_s, owner, [w.step_id for w in works]],
    )
    tokens = dict(rows)
    held = [w for w in works if w.step_id in tokens]
    for work in held:
        work.lease_token = tokens[work.step_id]
    return held


@participant
def still_ours(works: Sequence[Claimed]) -> list[Claimed]:
    """Lock leased steps; those of them that nobody took back meanwhile, and that did not go on in
    a commit of ours whose reply was lost: nothing is begun twice in our name."""
    # Held until our commit: nobody takes a lease back while we begin something in its name.
    rows = fetch(
        """
        SELECT s.id FROM runs_step s
        JOIN unnest(%s::uuid[], %s::bigint[], %s::int[], %s::bool[])
            AS v(id, lease_token, attempts, intent_open)
          ON v.id = s.id AND v.lease_token = s.lease_token AND v.attempts = s.attempts_made
            AND v.intent_open = s.intent_open
        WHERE s.state = 'running' ORDER BY s.id FOR UPDATE OF s
        """,
        [
            [w.step_id for w in works],
            [w.lease_token for w in works],
            [w.attempts_made for w in works],
            [w.intent_open for w in works],
        ],
    )
    ours = {row[0] for row in rows}
    return [w for w in works if w.step_id in ours]


@participant
def park(parked: Sequence[Parked]) -> None:
    """Take steps from the head of the queue until their time has come."""
    if parked:
        execute(
            """
            UPDATE runs_step s SET waits_for = v.waits_for,
                not_before = coalesce(clock_timestamp() + make_interval(secs => v.wait_s),
                    %s)
            FROM unnest(%s::uuid[], %s::text[], %s::float[]) AS v(id, waits_for, wait_s)
            WHERE s.id = v.id AND s.state = 'queued'
            """,
            [
                PARKED_UNTIL,
                [p.step_id for p in parked],
                [p.waits_for[:160] for p in parked],
                [p.retry_in_s for p in parked],
            ],
        )
