"""Statements of the sweep: leases that ran out, runs that ran over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.kernel.transactions import participant
from apps.runs.domain import suspicion
from apps.runs.domain.suspicion import ALONE, GUILTY, Evidence, Fate
from apps.runs.journal import execute, fetch, unsent
from apps.runs.journal.unsent import MAY_HAVE_HAPPENED


@dataclass(frozen=True, slots=True)
class Lost:
    """A step whose worker went silent, and what became of it. ``words``: why it is poison, if it
    is."""

    step_id: UUID
    run_id: UUID
    state: str
    losses: int
    owner: str
    seq: int = 0
    tool: str = ""
    words: str = ""


_IS_DEAD = "state = 'running' AND lease_until < clock_timestamp()"
# A lease that is renewed, or whose result is written, at this moment is locked: it isn't dead.
_DEAD = f"""
    SELECT id, run_id, lease_owner, lease_losses, blame, intent_open, idempotency, seq, tool_name
    FROM runs_step WHERE {_IS_DEAD} AND (%s::uuid[] IS NULL OR id = ANY(%s))
    FOR UPDATE SKIP LOCKED
"""  # noqa: S608  # a constant condition, no input
_TAKE_BACK = """
    WITH v AS MATERIALIZED (
        SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[],
            %s::text[]) AS v(id, next, disposition, error_class, losses, blame, words)
    ), attempts AS (
        UPDATE runs_attempt a SET ended_at = clock_timestamp(), outcome = 'lease_lost',
            error_class = 'lease_lost', error = 'the worker went silent'
        FROM v WHERE a.step_id = v.id AND a.ended_at IS NULL
    )
    UPDATE runs_step s SET state = v.next, lease_losses = v.losses, blame = v.blame,
        not_before = clock_timestamp(), lease_token = NULL, lease_until = NULL, lease_owner = '',
        disposition = v.disposition, error_class = v.error_class,
        error = CASE WHEN v.words <> '' THEN v.words ELSE 'the worker went silent' END,
        finished_at = CASE WHEN v.next = 'queued' THEN NULL ELSE clock_timestamp() END
    FROM v WHERE s.id = v.id
"""


def dead(*, besides: Sequence[UUID] = ()) -> list[UUID]:
    """Steps whose lease ran out."""
    rows = fetch(
        f"SELECT id FROM runs_step WHERE {_IS_DEAD} AND id <> ALL(%s) ORDER BY id",  # noqa: S608  # a constant condition
        [list(besides)],
    )
    return [row[0] for row in rows]


@participant
def expire_leases(
    *,
    most_losses: int,
    evidence: Evidence | None = None,
    only: Sequence[UUID] | None = None,
    were_alone: bool | None = None,
) -> list[Lost]:
    """Take back leases that ran out: to the queue; to confirmation_unknown, when a mutation was
    under way that takes no key (one that can be looked up is asked about from there); and where
    the ``evidence`` of how a process ended, with what is known from before, shows that the step
    ends its workers, or after ``most_losses`` workers, to failed, or to confirmation_unknown when
    a mutation was under way. Fenced by clearing the token. ``only`` some of them; ``were_alone``:
    whether the process held but one, where that can't be seen from these."""
    chosen = None if only is None else list(only)
    rows = fetch(_DEAD, [chosen, chosen])
    if not rows:
        return []
    told = evidence or Evidence()
    ours = {r[0] for r in rows if told.process and r[2].startswith(told.process)}
    found, fates, blames = [], list[Fate](), []
    for step_id, run_id, owner, losses, blame, intent_open, idempotency, seq, tool in rows:
        is_only = len(ours) == 1 if were_alone is None else were_alone
        alone = is_only or losses >= ALONE.low
        said = told if step_id in ours else Evidence()
        losses, blame = suspicion.after_loss(said, step_id, losses=losses, blame=blame, alone=alone)
        poison = suspicion.is_poison(losses=losses, blame=blame, most_losses=most_losses)
        words = suspicion.verdict(said.end, losses=losses, blame=blame) if poison else ""
        keyed = idempotency == "keyed"
        fates.append(suspicion.fate(poison=poison, intent_open=intent_open, keyed=keyed))
        found.append(Lost(step_id, run_id, fates[-1].state, losses, owner, seq, tool, words))
        blames.append(blame)
    execute(
        _TAKE_BACK,
        [
            [r.step_id for r in found],
            [f.state for f in fates],
            [f.disposition for f in fates],
            [f.error_class for f in fates],
            [r.losses for r in found],
            blames,
            [r.words for r in found],
        ],
    )
    return found


@participant
def give_up(step_id: UUID, *, words: str) -> tuple[UUID, int, str] | None:
    """End a step that can't be taken back, and touch nothing else: as failed, or as unknown when a
    mutation was under way. Returns its run, number and state; ``None`` when somebody else took it
    back meanwhile."""
    # Guarded: its worker may have spoken, or another sweep taken it back, since it was found dead.
    rows = fetch(
        "UPDATE runs_step SET lease_token = NULL, lease_until = NULL, lease_owner = '',"  # noqa: S608  # a constant condition
        " state = CASE WHEN intent_open THEN 'confirmation_unknown' ELSE 'failed' END,"
        " disposition = CASE WHEN intent_open THEN 'unknown' ELSE 'failed' END,"
        " error_class = 'engine', error = %s, finished_at = clock_timestamp()"
        f" WHERE id = %s AND {_IS_DEAD} RETURNING run_id, seq, state",
        [words, step_id],
    )
    return rows[0] if rows else None


@participant
def suspect(evidence: Evidence, *, besides: Sequence[UUID]) -> None:
    """Note evidence against steps that the end of a process names, and whose leases had been taken
    back before: they are tried alone from now on, and the next loss decides. ``besides``: those of
    which it is noted already. A step that somebody else is at is left to them."""
    for step_id in set(evidence.suspects) - set(besides):
        # Skipped where it is locked: whoever claims or ends it now has the word.
        execute(
            "UPDATE runs_step SET lease_losses = greatest(lease_losses, %s),"
            " blame = least(blame + %s, %s) WHERE id IN (SELECT id FROM runs_step WHERE id = %s"
            " AND state IN ('queued', 'running') FOR UPDATE SKIP LOCKED)",
            [ALONE.low, evidence.points(step_id, alone=False), GUILTY - 1, step_id],
        )


@participant
def end_leases_of(process: str) -> int:
    """Let the leases of a process that is known to be dead run out now; ``process`` is what the
    names of its drains begin with. Returns how many it had."""
    return execute(
        "UPDATE runs_step SET lease_until = clock_timestamp() WHERE state = 'running'"
        " AND starts_with(lease_owner, %s) AND lease_until > clock_timestamp()",
        [process],
    )


@participant
def mark_unknown_runs(run_ids: Sequence[UUID]) -> list[UUID]:
    """A run with an unknown step is itself unknown until a person says. Returns those that became
    so."""
    rows = fetch(
        "UPDATE runs_run SET state = 'confirmation_unknown', error_class = 'unknown'"
        " WHERE id = ANY(%s) AND state = 'running' RETURNING id",
        [list(run_ids)],
    )
    return [row[0] for row in rows]


@participant
def fail_runs(reasons: Mapping[UUID, str], *, error_class: str) -> list[UUID]:
    """End runs whose step can't go on, each with the reason. Returns those that ended with this."""
    # Guarded by the state: a run that somebody cancelled meanwhile stays cancelled.
    rows = fetch(
        "UPDATE runs_run r SET state = 'failed', outcome = 'error', error_class = %s,"
        " summary = v.words, finished_at = clock_timestamp()"
        " FROM unnest(%s::uuid[], %s::text[]) AS v(id, words)"
        " WHERE r.id = v.id AND r.state IN ('queued', 'running') RETURNING r.id",
        [error_class, list(reasons), list(reasons.values())],
    )
    return [row[0] for row in rows]


def waiting_approvals(*, besides: Sequence[UUID] = (), limit: int = 2000) -> list[UUID]:
    """The approvals that steps are waiting for, longest first."""
    rows = fetch(
        "SELECT approval_id FROM runs_step WHERE state = 'waiting_approval'"
        " AND approval_id <> ALL(%s) ORDER BY gated_at LIMIT %s",
        [list(besides), limit],
    )
    return [row[0] for row in rows]


_IS_OVERDUE = f"""
    state IN ('accepted', 'queued', 'running', 'waiting_approval')
    AND deadline_at < clock_timestamp()
    AND NOT EXISTS (SELECT FROM runs_step s WHERE s.run_id = runs_run.id
        AND (s.state = 'running'
          OR (s.intent_open AND (s.state <> 'queued' OR {MAY_HAVE_HAPPENED}))))
"""


def overdue(*, limit: int = 500, besides: Sequence[UUID] = ()) -> list[UUID]:
    """Runs past their deadline that ``end_overdue`` would end."""
    rows = fetch(
        f"SELECT id FROM runs_run WHERE {_IS_OVERDUE} AND id <> ALL(%s) LIMIT %s",  # noqa: S608  # a constant condition
        [list(besides), limit],
    )
    return [row[0] for row in rows]


@participant
def end_overdue(
    only: Sequence[UUID] | None = None, *, limit: int = 500
) -> tuple[list[UUID], list[tuple[UUID, UUID]]]:
    """Fail runs past their deadline (``only`` some of them) that have no call under way, nor one
    that may have happened and is tried again, with their waiting steps. Returns the runs, and the
    steps with their runs."""
    chosen = None if only is None else list(only)
    # A worker that moves the run on holds its row: it is skipped, and looked at again next round.
    rows = fetch(
        f"""
        UPDATE runs_run r SET state = 'failed', outcome = 'timed_out', error_class = 'deadline',
            summary = 'The deadline of the run passed.', finished_at = clock_timestamp()
        WHERE r.id IN (
            SELECT id FROM runs_run
            WHERE {_IS_OVERDUE} AND (%s::uuid[] IS NULL OR id = ANY(%s))
            LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING r.id
        """,  # noqa: S608  # a constant condition, no input
        [chosen, chosen, limit],
    )
    ids = [row[0] for row in rows]
    steps = fetch(
        "UPDATE runs_step SET state = 'failed', disposition = 'failed',"
        " error_class = 'deadline', error = 'the deadline of the run passed', intent_open = false,"
        " finished_at = clock_timestamp()"
        " WHERE run_id = ANY(%s) AND state IN ('queued', 'waiting_approval')"
        " RETURNING id, run_id",
        [ids],
    )
    unsent.free([row[0] for row in steps])
    return ids, [(row[0], row[1]) for row in steps]


@participant
def fenced(step_ids: Sequence[UUID], tokens: Sequence[int]) -> list[tuple[UUID, UUID, int]]:
    """Of leases under which a result came too late to be written, those that were taken back: step,
    run and token. The others are our own, of a commit that is repeated because its reply was
    lost."""
    rows = fetch(
        "SELECT step_id, run_id, lease_token FROM runs_attempt WHERE step_id = ANY(%s)"
        " AND lease_token = ANY(%s) AND outcome = 'lease_lost'",
        [list(step_ids), list(tokens)],
    )
    return [(row[0], row[1], row[2]) for row in rows]
