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
from uuid import UUID

from apps.evidence.domain import crossing
from apps.evidence.domain.crossing import Mutation
from apps.kernel.statements import from_json, names, record, rows_as_json
from apps.kernel.transactions import participant
from apps.runs.domain import forking
from apps.runs.domain.forking import Repeat
from apps.runs.domain.results import Disposition
from apps.runs.domain.rows import NewReceipt, NewStep, Owner, TakenStep
from apps.runs.journal import execute, fetch
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


# Of a new step: what a branch's own step has of itself, and what is of a step that is tried.
_OWN = {
    *("id", "run_id", "attempts_made", "intent_open", "compensates_id"),
    *("waits_for", "wait_s", "lease_token"),
}
_COPY = f"""
    INSERT INTO runs_step ({names(NewStep, but=_OWN)}, id, run_id, state, not_before, lease_owner,
        attempts_made, lease_losses, intent_open, disposition, deduplicated_from,
        inherited_from, result, created_at, finished_at)
    SELECT {names(NewStep, but=_OWN, of="s.")}, v.new, %s, s.state, clock_timestamp(), '',
        0, 0, false, v.disposition,
        (SELECT w.new FROM jsonb_to_recordset(%s::jsonb) AS w(old uuid, new uuid)
            WHERE w.old = s.deduplicated_from),
        s.id, s.result, clock_timestamp(), clock_timestamp()
    FROM jsonb_to_recordset(%s::jsonb) AS {record(TakenStep)}
    JOIN runs_step s ON s.id = v.old AND s.run_id = %s
"""  # noqa: S608  # the columns of types, no input
_PROOF = {"step_id", "run_id", "evidence"}  # of a receipt: a branch's own
_COPY_RECEIPTS = f"""
    INSERT INTO runs_receipt ({names(NewReceipt, but=_PROOF)}, step_id, run_id, evidence,
        received_at)
    SELECT {names(NewReceipt, but=_PROOF, of="c.")}, v.new, %s, 'inherited', c.received_at
    FROM jsonb_to_recordset(%s::jsonb) AS {record(TakenStep)}
    JOIN runs_receipt c ON c.step_id = v.old
"""  # noqa: S608  # the columns of types, no input


@participant
def copy_past(parent_id: UUID, run_id: UUID, *, steps: Sequence[TakenStep]) -> None:
    """Give a branch its past: steps with their receipts, as ended steps of its own that were never
    tried here. Keys stay, so that what is inherited is known by them; attempts, decisions and
    approvals stay with whoever made them."""
    payload = rows_as_json(steps)
    execute(_COPY, [run_id, payload, payload, parent_id])
    execute(_COPY_RECEIPTS, [run_id, payload])


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
    found = [(s.work, s.inherited_from) for s in steps if s.inherited_from]
    if not found:
        return
    execute(
        "UPDATE runs_step s SET inherited_from = v.old"
        " FROM unnest(%s::uuid[], %s::uuid[]) AS v(old, new) WHERE s.id = v.new",
        [[old for _, old in found], [work.step_id for work, _ in found]],
    )
    for work, old in found:  # seldom more than one
        taken = TakenStep(old, work.step_id, Disposition.INHERITED)
        execute(_COPY_RECEIPTS, [work.run_id, rows_as_json([taken])])


@participant
def await_others(
    works: Sequence[Claimed], owners: Mapping[tuple[UUID, str], Owner]
) -> list[Claimed]:
    """Put those steps back whose very mutation another branch is carrying out; each says what it
    waits for and is looked at again soon. Returns the rest."""
    put_back: list[tuple[UUID, int, str]] = []
    rest = []
    for work in works:
        owner = owners.get((work.run_id, work.idempotency_key)) if work.mutates else None
        met = forking.repeat(owner, step_id=work.step_id, run_id=work.run_id)
        if owner is None or met is not Repeat.AWAITED:
            rest.append(work)
            continue
        run = str(owner.run_id)[-8:]
        words = f"another branch, which is making this very change: step {owner.seq}, run {run}"
        put_back.append((work.step_id, work.lease_token, words))
    if put_back:
        execute(
            """
            UPDATE runs_step s SET state = 'queued', waits_for = v.words,
                not_before = clock_timestamp() + make_interval(secs => %s),
                lease_token = NULL, lease_until = NULL, lease_owner = ''
            FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS v(id, token, words)
            WHERE s.id = v.id AND s.lease_token = v.token AND s.state = 'running'
            """,
            [WAIT_S, *(list(column) for column in zip(*put_back, strict=True))],
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
        USING unnest(%s::uuid[], %s::uuid[], %s::text[]) AS v(root, run_id, key), runs_step s
        WHERE i.run_id = v.root AND i.key = v.key AND s.id = i.step_id
          AND s.run_id <> v.run_id AND s.state = ANY(%s)
          AND (s.idempotency = 'keyed' OR s.attempts_made = 0)
        """,
        [
            [roots[w.run_id] for w in works],
            [w.run_id for w in works],
            [w.idempotency_key for w in works],
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
