"""Statements about branches: who owns a mutation in a lineage, and what a fork takes over.

A lineage is a root run and all its branches. The right to a mutation (``runs_intent``) is held
under the *root's* id, so that the unique (run, key) closes the race of two branches for one
mutation. Two that want different changes of one thing race as well: whoever asks the gate for a
run with branches first takes the lineage's advisory lock, held to the end of the transaction that
opens its intents, so that the second sees what the first has taken. A run becomes a root while its
row is locked against every transaction that has looked at it and not committed yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from apps.evidence.domain import crossing
from apps.evidence.domain.crossing import Mutation
from apps.kernel.statements import from_json
from apps.kernel.transactions import participant
from apps.runs.domain import forking
from apps.runs.domain.forking import Repeat
from apps.runs.domain.rows import Owner
from apps.runs.journal import execute, fetch, to_json
from apps.runs.work import Claimed, Settled

WAIT_S = 2.0  # how long a branch waits before it looks again whether the other one is done


# --- forking --------------------------------------------------------------------------------------


@participant
def root_of(run_id: UUID, parent_root: UUID | None) -> UUID:
    """The root of a run's lineage, which a run that had no branches becomes here. Its row is held
    against whoever is just opening an intent for it."""
    root = parent_root or run_id
    # Whoever opens an intent holds the root's row too: the fork waits for it, or is seen by it.
    fetch("SELECT FROM runs_run WHERE id = %s FOR UPDATE", [root])
    execute("UPDATE runs_run SET root_id = id WHERE id = %s AND root_id IS NULL", [root])
    return root


@participant
def copy_past(parent_id: UUID, run_id: UUID, *, steps: Sequence[Mapping[str, Any]]) -> None:
    """Give a branch its past: steps (rows of old, new, disposition) with their receipts, as
    ended steps of its own that were never tried here. Keys stay, so that what is inherited is
    known by them; attempts, decisions and approvals stay with whoever made them."""
    payload = to_json(list(steps))
    execute(
        """
        INSERT INTO runs_step (id, run_id, seq, after_message, kind, tool_version_id, tool_name,
            effect, idempotency, arguments, arguments_digest, idempotency_key, ref, state,
            gate, decision_id, facts, preview, lane, priority, not_before, lease_owner,
            attempts_made, lease_losses, intent_open, disposition, deduplicated_from,
            inherited_from, result, error_class, error, created_at, finished_at)
        SELECT v.new, %s, s.seq, s.after_message, s.kind, s.tool_version_id, s.tool_name,
            s.effect, s.idempotency, s.arguments, s.arguments_digest, s.idempotency_key,
            s.ref, s.state, s.gate, s.decision_id, s.facts, s.preview, s.lane, s.priority,
            clock_timestamp(), '', 0, 0, false, v.disposition,
            (SELECT w.new FROM jsonb_to_recordset(%s::jsonb) AS w(old uuid, new uuid)
                WHERE w.old = s.deduplicated_from),
            s.id, s.result, s.error_class, s.error, clock_timestamp(), clock_timestamp()
        FROM jsonb_to_recordset(%s::jsonb) AS v(old uuid, new uuid, disposition text)
        JOIN runs_step s ON s.id = v.old AND s.run_id = %s
        """,
        [run_id, payload, payload, parent_id],
    )
    _copy_receipts(run_id, payload)


def _copy_receipts(run_id: UUID, payload: str) -> None:
    execute(
        """
        INSERT INTO runs_receipt (step_id, run_id, idempotency_key, provider_ref,
            response_digest, evidence, note, received_at)
        SELECT v.new, %s, c.idempotency_key, c.provider_ref, c.response_digest, 'inherited',
            c.note, c.received_at
        FROM jsonb_to_recordset(%s::jsonb) AS v(old uuid, new uuid)
        JOIN runs_receipt c ON c.step_id = v.old
        """,
        [run_id, payload],
    )


@participant
def copy_messages(parent_id: UUID, run_id: UUID, *, upto: int) -> None:
    """What was said before a branch parted, as it was said and when."""
    execute(
        "INSERT INTO runs_message (run_id, seq, role, content, at)"
        " SELECT %s, seq, role, content, at FROM runs_message WHERE run_id = %s AND seq <= %s",
        [run_id, parent_id, upto],
    )


# --- one owner in a lineage -----------------------------------------------------------------------


@participant
def inherit(steps: Sequence[Settled]) -> None:
    """Give steps that were answered with another branch's work its receipt."""
    rows = [
        {"old": s.inherited_from, "new": s.work.step_id, "run_id": s.work.run_id}
        for s in steps
        if s.inherited_from
    ]
    if not rows:
        return
    execute(
        "UPDATE runs_step s SET inherited_from = v.old"
        " FROM jsonb_to_recordset(%s::jsonb) AS v(old uuid, new uuid) WHERE s.id = v.new",
        [to_json(rows)],
    )
    for row in rows:  # seldom more than one
        _copy_receipts(row["run_id"], to_json([row]))


@participant
def await_others(
    works: Sequence[Claimed], owners: Mapping[tuple[UUID, str], Owner]
) -> list[Claimed]:
    """Put those steps back whose very mutation another branch is carrying out; each says what it
    waits for and is looked at again soon. Returns the rest."""
    rows, rest = [], []
    for work in works:
        owner = owners.get((work.run_id, work.idempotency_key)) if work.mutates else None
        met = forking.repeat(owner, step_id=work.step_id, run_id=work.run_id)
        if owner is None or met is not Repeat.AWAITED:
            rest.append(work)
            continue
        run = str(owner.run_id)[-8:]
        words = f"another branch, which is making this very change: step {owner.seq}, run {run}"
        rows.append({"id": work.step_id, "token": work.lease_token, "words": words})
    if rows:
        execute(
            """
            UPDATE runs_step s SET state = 'queued', waits_for = v.words,
                not_before = clock_timestamp() + make_interval(secs => %s),
                lease_token = NULL, lease_until = NULL, lease_owner = ''
            FROM jsonb_to_recordset(%s::jsonb) AS v(id uuid, token bigint, words text)
            WHERE s.id = v.id AND s.lease_token = v.token AND s.state = 'running'
            """,
            [WAIT_S, to_json(rows)],
        )
    return rest


# --- conflicts ------------------------------------------------------------------------------------


@participant
def conflicts(works: Sequence[Claimed]) -> dict[UUID, list[Mutation]]:
    """Steps of runs with branches that would change what another branch has changed: step → those
    changes, oldest first. One indexed look for runs without branches. Holds the lineages' locks
    from here on."""
    mutating = [w for w in works if w.mutates]
    if not mutating:
        return {}
    roots = _lock_lineages({w.run_id for w in mutating})
    if not roots:
        return {}
    mutating = [w for w in mutating if w.run_id in roots]
    _clear_failed(mutating, roots)
    taken = _mutations(set(roots.values()))
    inherited = _inherited({w.run_id for w in mutating})
    found = {
        w.step_id: crossing.conflicts(
            taken[roots[w.run_id]],
            run_id=w.run_id,
            inherited=inherited[w.run_id],
            tool=w.tool_name,
            key=w.idempotency_key,
            arguments=w.arguments,
        )
        for w in mutating
    }
    return {step_id: others for step_id, others in found.items() if others}


def _lock_lineages(run_ids: set[UUID]) -> dict[UUID, UUID]:
    """Run → root, of those among the runs that have branches or are one. The rows are held as an
    insert that refers to them would hold them: a fork waits for us, or we see it."""
    rows = fetch(
        "SELECT id, root_id FROM runs_run WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
        [list(run_ids)],
    )
    roots = {run: root for run, root in rows if root}
    if roots:
        fetch(
            "SELECT pg_advisory_xact_lock(hashtextextended(root, 7))"
            " FROM (SELECT DISTINCT unnest(%s::text[]) AS root ORDER BY 1) AS lineages",
            [[str(root) for root in roots.values()]],
        )
    return roots


def _clear_failed(works: Sequence[Claimed], roots: Mapping[UUID, UUID]) -> None:
    """Take the right away from branches that failed to use it, where that can't do it twice."""
    execute(
        """
        DELETE FROM runs_intent i
        USING jsonb_to_recordset(%s::jsonb) AS v(root uuid, run_id uuid, key text), runs_step s
        WHERE i.run_id = v.root AND i.key = v.key AND s.id = i.step_id
          AND s.run_id <> v.run_id AND s.state = ANY(%s)
          AND (s.idempotency = 'keyed' OR s.attempts_made = 0)
        """,
        [
            to_json(
                [
                    {"root": roots[w.run_id], "run_id": w.run_id, "key": w.idempotency_key}
                    for w in works
                ]
            ),
            sorted(forking.ENDED_WITHOUT_EFFECT),
        ],
    )


def _mutations(roots: set[UUID]) -> dict[UUID, list[Mutation]]:
    rows = fetch(
        """
        SELECT i.run_id, s.id, s.run_id, s.seq, s.tool_name, i.key, s.arguments::text, s.state
        FROM runs_intent i JOIN runs_step s ON s.id = i.step_id
        WHERE i.run_id = ANY(%s) AND s.state <> ALL(%s) AND NOT EXISTS (SELECT FROM runs_step u
            WHERE u.compensates_id = s.id AND u.state = 'succeeded')
        ORDER BY i.created_at, i.id
        """,
        [list(roots), sorted(forking.ENDED_WITHOUT_EFFECT)],
    )
    found: dict[UUID, list[Mutation]] = defaultdict(list)
    for root, step_id, run_id, seq, tool, key, arguments, state in rows:
        mutation = Mutation(step_id, run_id, seq, tool, key, from_json(arguments), state)
        found[root].append(mutation)
    return found


def _inherited(run_ids: set[UUID]) -> dict[UUID, set[str]]:
    rows = fetch(
        "SELECT run_id, idempotency_key FROM runs_step WHERE run_id = ANY(%s)"
        " AND disposition = 'inherited' AND idempotency_key <> ''",
        [list(run_ids)],
    )
    found: dict[UUID, set[str]] = defaultdict(set)
    for run_id, key in rows:
        found[run_id].add(key)
    return found
