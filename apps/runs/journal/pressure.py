"""Caps and rates at the claim: which of some steps may begin now.

Nothing is asked of the database when no cap is set (looked at once a second and process) and no
contract among the steps bounds its calls a minute.

The races: two claimers that count at the same moment would both see the last place free, so that
counting is done under an advisory lock of the transaction, taken only where a cap on steps at once
is set. A bucket's row is locked by whoever charges it, in order of name; the commit that leases the
steps also spends their tokens, so that a claim that fails costs none. A transaction that holds such
locks already waits for no more of them, or two could wait for each other: what another worker holds
then counts as no room for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from apps.calls.domain.caps import CapLimits, RateLimit, Rooms, Who, own_pace, pace_of
from apps.catalog.domain.contract import NO_RATE
from apps.catalog.selectors import contract
from apps.catalog.selectors import pinned as catalog
from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch, to_json
from apps.runs.journal.claiming import Parked
from apps.runs.selectors import load
from apps.runs.work import Claimed

COUNT_LOCK = 7_346_004  # advisory lock: one counter of caps at a time
CAPS_KEPT_S = 1.0

_caps: tuple[float, dict[tuple[str, str], CapLimits]] = (-CAPS_KEPT_S, {})


def forget_caps() -> None:
    """Read the caps anew at the next claim of this process."""
    global _caps  # a small cache of the process
    _caps = (-CAPS_KEPT_S, {})


def _current_caps() -> dict[tuple[str, str], CapLimits]:
    global _caps  # a small cache of the process
    read_at, caps = _caps
    if time.monotonic() - read_at >= CAPS_KEPT_S:
        rows = fetch("SELECT scope, key, max_in_flight, per_minute FROM runs_cap", [])
        caps = {(row[0], row[1]): CapLimits(*row) for row in rows}
        _caps = (time.monotonic(), caps)
    return caps


@participant
def part(works: Sequence[Claimed], *, may_wait: bool = True) -> tuple[list[Claimed], list[Parked]]:
    """Part steps that are about to begin into those that may and those that a cap or a rate holds
    back. What may begin is charged for, in this transaction. Works may be locked or leased: they
    are not counted as running themselves. ``may_wait``: for the first call in a transaction only;
    the others don't wait for other workers' locks."""
    caps = _current_caps()
    paces = {w.step_id: _own(w) for w in works}
    if not works or not (caps or any(paces.values())):
        return list(works), []
    people, first = _who(works), _first(works)
    found = _rooms(caps, people, paces, may_wait=may_wait)
    kept, parked = [], []
    for work in sorted(works, key=lambda w: w.step_id not in first):
        step_id = work.step_id
        block = found.take(people[step_id], paces[step_id], first=step_id in first)
        if block is None:
            kept.append(work)
        else:
            parked.append(Parked(work.step_id, block.waits_for, block.retry_in_s))
    _write(found)
    return kept, parked


def _own(work: Claimed) -> RateLimit | None:
    listed = contract(work.contract_version_id).tool(work.tool_name)
    if listed is None or listed.rate_per_minute >= NO_RATE:
        return None
    return own_pace(work.job_slug, work.tool_name, listed.rate_per_minute)


def _who(works: Sequence[Claimed]) -> dict[UUID, Who]:
    ids = list({w.run_id for w in works})
    tenants = dict(fetch("SELECT id, tenant FROM runs_run WHERE id = ANY(%s)", [ids]))  # type: ignore[arg-type]  # pairs
    return {
        w.step_id: Who(
            f"{w.domain_slug}/{w.tool_name}",
            w.job_slug,
            catalog.agent_slug(w.agent_version_id),
            tenants[w.run_id],
        )
        for w in works
    }


def _first(works: Sequence[Claimed]) -> set[UUID]:
    """Class C0: what undoes an effect, and what a person has approved."""
    rows = fetch(
        "SELECT id FROM runs_step WHERE id = ANY(%s)"
        " AND (compensates_id IS NOT NULL OR approval_id IS NOT NULL)",
        [[w.step_id for w in works]],
    )
    return {row[0] for row in rows}


def _rooms(
    caps: Mapping[tuple[str, str], CapLimits],
    people: Mapping[UUID, Who],
    paces: Mapping[UUID, RateLimit | None],
    *,
    may_wait: bool,
) -> Rooms:
    touched = {
        pair
        for who in people.values()
        for pair in zip(who._fields, who, strict=True)
        if pair in caps
    }
    running: dict[tuple[str, str], int] | None = {}
    if any(caps[pair].max_in_flight for pair in touched):
        # Under the lock and in a statement of its own: what its last holder leased is seen.
        running = load.running_by(besides=list(people)) if _counts(may_wait) else None
    keys = {p.key for p in paces.values() if p}
    keys |= {p.key for pair in touched if (p := pace_of(caps[pair]))}
    buckets = _buckets(sorted(keys), may_wait)
    (now,) = fetch("SELECT clock_timestamp()", [])[0]
    busy = frozenset(keys - buckets.keys())
    return Rooms({k: caps[k] for k in touched}, now, running, buckets, busy)


def _counts(may_wait: bool) -> bool:
    """Become the one that counts steps at work; without waiting, whether that is possible."""
    if may_wait:
        # Of two who count the second waits and counts the first one's steps too.
        fetch("SELECT pg_advisory_xact_lock(%s)", [COUNT_LOCK])
        return True
    return bool(fetch("SELECT pg_try_advisory_xact_lock(%s)", [COUNT_LOCK])[0][0])


def _buckets(keys: Sequence[str], may_wait: bool) -> dict[str, datetime]:
    """Lock the rows of these buckets; without waiting, those that are free and have a row."""
    if not keys:
        return {}
    # In one order, so that two claimers can't wait for each other; a bucket is spent by its holder.
    sql = "SELECT key, due_at FROM runs_rate WHERE key = ANY(%s) ORDER BY key FOR UPDATE"
    if not may_wait:
        return dict(fetch(f"{sql} SKIP LOCKED", [keys]))  # type: ignore[arg-type]  # pairs
    found = dict(fetch(sql, [keys]))  # type: ignore[arg-type]  # pairs
    if missing := [k for k in keys if k not in found]:
        execute(
            "INSERT INTO runs_rate (key, due_at) SELECT k, clock_timestamp()"
            " FROM unnest(%s::text[]) AS k ON CONFLICT (key) DO NOTHING",
            [missing],
        )
        found |= dict(fetch(sql, [missing]))  # type: ignore[arg-type]  # pairs
    return found


def _write(rooms: Rooms) -> None:
    changed: Iterable[str] = sorted(rooms.charged)
    if rooms.charged:
        execute(
            "UPDATE runs_rate r SET due_at = v.due_at"
            " FROM unnest(%s::text[], %s::timestamptz[]) AS v(key, due_at) WHERE r.key = v.key",
            [list(changed), [rooms.buckets[k] for k in changed]],
        )


@participant
def look_again(scope: str, key: str) -> list[str]:
    """Let steps go on at once that a cap held back. Returns their lanes."""
    rows = fetch(
        "UPDATE runs_step SET not_before = clock_timestamp(), waits_for = ''"
        " WHERE state = 'queued' AND waits_for LIKE %s AND not_before > clock_timestamp()"
        " RETURNING lane",
        [f"%for {scope} {key}"],
    )
    return sorted({row[0] for row in rows})


# --- limits that workers found ------------------------------------------------------------------

LIMITS_KNOWN_S = 60.0


def note_limits(owner: str, limits: Mapping[str, Mapping[str, object]]) -> None:
    """Keep with a worker's sign of life how many calls at once it allows each tool."""
    execute("UPDATE runs_worker SET limits = %s::jsonb WHERE name = %s", [to_json(limits), owner])


def known_limits() -> dict[str, float]:
    """The lowest limit that any worker found for a tool within the last minute: a work-horse that
    begins need not find out anew what a tool can't take."""
    rows = fetch(
        "SELECT l.key, min((l.value->>'limit')::float8) FROM runs_worker w,"
        " jsonb_each(w.limits) l WHERE w.seen_at > clock_timestamp() - make_interval(secs => %s)"
        " AND w.limits <> '{}' GROUP BY 1",
        [LIMITS_KNOWN_S],
    )
    return {row[0]: row[1] for row in rows}
