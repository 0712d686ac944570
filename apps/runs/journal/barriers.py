"""What may not begin now, read and handed out for whoever begins something.

One statement reads everything that is in force. While nothing is, a process asks again only after a
quarter of a second. The engine asks ``part`` about steps that it has locked and ``keep`` about
steps that it holds already.

The race of half-open breakers: two workers that each see room for two probes would send four. It is
closed by the breaker's row, which is locked until the probes' leases are committed; the calls under
way are then counted anew. A row that is locked is skipped, so that nobody waits here and no
deadlock can come of it. Probes are counted from the leased steps themselves: one that is lost with
its worker is given back by its lease.

The race of lifting: a claimer that read a stop before it was lifted may park a step after the lift
has woken everybody. The sweep wakes such steps (``wake_freed``).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from apps.calls.domain.breaker import room
from apps.catalog.selectors import pinned as catalog
from apps.kernel.transactions import participant
from apps.runs.domain import barrier
from apps.runs.domain.barrier import Barriers, Block, Shut, StopInForce, StopScope, Subject
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.journal import breakers, execute, fetch
from apps.runs.journal.claiming import Parked
from apps.runs.models import PARKED_UNTIL
from apps.runs.work import Claimed

Name = tuple[str, str]  # "<domain>/<tool>", host
PAGE = 5000
QUIET_S = 0.25
PROMISED_S = 1.0  # longer than a commit takes

_quiet_until = 0.0
_promised: dict[UUID, tuple[Name, float]] = {}  # probes of this process that may not be rows yet

_IN_FORCE = """
    SELECT 'shut', NULL::bigint, tool_name, host, NULL::int,
        CASE WHEN state = 'half_open' THEN 0
             WHEN NOT manual THEN extract(epoch FROM open_until - clock_timestamp()) END::float8,
        NULL::uuid
    FROM runs_breaker WHERE state <> 'closed'
    UNION ALL SELECT 'stop', id, scope, target, percent, NULL, NULL
    FROM runs_stop WHERE lifted_at IS NULL
    UNION ALL SELECT 'paused', NULL, NULL, NULL, NULL, NULL, id
    FROM runs_run WHERE paused_at IS NOT NULL AND finished_at IS NULL
"""


@participant
def read(hosts_by_domain: Mapping[str, str] | None = None) -> Barriers:
    """Everything in force now, in one statement over tiny tables. ``hosts_by_domain``: see
    ``journal.breakers.hosts``; a domain that is missing meets the breakers of all its hosts."""
    shut: dict[str, list[Shut]] = {}
    stops, paused = [], set()
    for what, number, one, two, percent, seconds, run_id in fetch(_IN_FORCE, []):
        if what == "shut":
            shut.setdefault(one, []).append(Shut(one, two, seconds))
        elif what == "stop":
            stops.append(StopInForce(number, StopScope(one), two, percent))
        else:
            paused.add(run_id)
    breakers.remember({(s.tool, s.host) for some in shut.values() for s in some})
    found = Barriers(shut, stops, frozenset(paused), dict(hosts_by_domain or {}))
    global _quiet_until
    _quiet_until = time.monotonic() + QUIET_S if found.empty else 0.0
    return found


def forget() -> None:
    """Something was put in force by this process: ask anew."""
    global _quiet_until
    _quiet_until = 0.0
    _promised.clear()
    breakers.forget()


@participant
def take_probes(wanted: Mapping[Name, int], besides: Sequence[UUID] = ()) -> dict[Name, int]:
    """How many of the probes wanted at half-open breakers may be sent. Whoever takes them leases
    their steps in this same transaction, before asking again: leased steps are what is counted.
    ``besides``: the steps that ask, which may be leased already."""
    granted = {}
    for name in sorted(wanted):
        if breakers.begin_probing(*name):
            granted[name] = min(wanted[name], room(_under_way(name, besides)))
    return granted


def _under_way(name: Name, besides: Sequence[UUID]) -> int:
    """Calls of the tool that are leased by anybody, and probes that this process has promised in
    this very transaction, before their steps were written."""
    domain, _, tool = name[0].partition("/")
    rows = fetch(
        "SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id"
        " WHERE s.state = 'running' AND s.kind <> 'agent' AND s.tool_name = %s"
        " AND r.domain_slug = %s",
        [tool, domain],
    )
    now = time.monotonic()
    for step_id in [i for i, (_, until) in _promised.items() if until < now]:
        del _promised[step_id]
    out = {row[0] for row in rows} | {i for i, (of, _) in _promised.items() if of == name}
    return len(out.difference(besides))


@participant
def part(works: Sequence[Claimed]) -> tuple[list[Claimed], list[Parked]]:
    """Part locked steps into those that may begin, probes included, and those that something holds.
    The order of ``works`` decides who probes. While nothing is in force this costs nothing, or one
    small statement each quarter of a second."""
    if not works or time.monotonic() < _quiet_until:
        return list(works), []
    barriers = read(breakers.hosts(w.domain_slug for w in works))
    if barriers.empty:
        return list(works), []
    held = sort(barriers, subjects(works))
    parked = [Parked(i, block.waits_for, block.retry_in_s) for i, block in held.items()]
    return [w for w in works if w.step_id not in held], parked


@participant
def keep(works: Sequence[Claimed]) -> list[Claimed]:
    """Of steps that this worker holds and that have caused nothing yet, those that may begin; the
    others are given back to the queue with the reason."""
    kept, parked = part(works)
    give_back(works, parked)
    return kept


@participant
def give_back(works: Sequence[Claimed], parked: Sequence[Parked]) -> None:
    """Give those of the steps that this worker holds which can't begin back to the queue."""
    if parked:
        tokens = {w.step_id: w.lease_token for w in works}
        execute(
            """
            UPDATE runs_step s SET state = 'queued', waits_for = v.waits_for,
                not_before = coalesce(clock_timestamp() + make_interval(secs => v.wait_s), %s),
                lease_token = NULL, lease_until = NULL, lease_owner = ''
            FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::float[])
                AS v(id, lease_token, waits_for, wait_s)
            WHERE s.id = v.id AND s.lease_token = v.lease_token AND s.state = 'running'
            """,
            [
                PARKED_UNTIL,
                [p.step_id for p in parked],
                [tokens[p.step_id] for p in parked],
                [p.waits_for[:160] for p in parked],
                [p.retry_in_s for p in parked],
            ],
        )


def subjects(works: Sequence[Claimed]) -> list[Subject]:
    """Steps in the words of barriers."""
    rows = fetch(
        "SELECT id FROM runs_step WHERE id = ANY(%s) AND compensates_id IS NOT NULL",
        [[w.step_id for w in works]],
    )
    undoing = {row[0] for row in rows}
    return [
        Subject(
            w.step_id,
            w.run_id,
            "" if w.kind == "agent" else f"{w.domain_slug}/{w.tool_name}",
            catalog.agent_slug(w.agent_version_id),
            w.job_slug,
            w.step_id in undoing,
        )
        for w in works
    ]


@participant
def sort(barriers: Barriers, subjects: Sequence[Subject]) -> dict[UUID, Block]:
    """The steps that must not begin now, and why; everything else may, probes included."""
    held: dict[UUID, Block] = {}
    if barriers.empty:
        return held
    probing: dict[Name, list[Subject]] = {}
    for subject in subjects:
        block = barrier_of(barriers, subject)
        if block is not None:
            held[subject.step_id] = block
        elif subject.tool and (shut := barrier.shut_of(barriers, subject.tool)):
            probing.setdefault((shut.tool, shut.host), []).append(subject)
    asking = [s.step_id for s in subjects]
    granted = take_probes({name: len(some) for name, some in probing.items()}, asking)
    for name, some in probing.items():
        wait = Block(barrier.probe_words(name[0]), barrier.PROBE_PATIENCE_S)
        count = granted.get(name, 0)
        held |= {s.step_id: wait for s in some[count:]}
        until = time.monotonic() + PROMISED_S
        _promised.update({s.step_id: (name, until) for s in some[:count]})
    return held


def barrier_of(barriers: Barriers, subject: Subject) -> Block | None:
    """``domain.barrier.blocked`` for a subject."""
    return barrier.blocked(
        barriers,
        tool=subject.tool,
        agent=subject.agent,
        job=subject.job,
        is_undoing=subject.is_undoing,
        run_id=subject.run_id,
    )


# --- what is parked -------------------------------------------------------------------------------

_SUBJECTS = """
    SELECT s.id, s.run_id, CASE WHEN s.kind = 'agent' THEN ''
        ELSE r.domain_slug || '/' || s.tool_name END,
        r.agent_version_id, r.job_slug, s.compensates_id IS NOT NULL, s.lane, s.waits_for
    FROM runs_step s JOIN runs_run r ON r.id = s.run_id
"""
_PARKED = f"""
    {_SUBJECTS} WHERE s.state = 'queued' AND s.not_before >= '9000-01-01+00' AND s.id > %s
      AND s.waits_for <> ALL(%s) ORDER BY s.id LIMIT %s
"""
_THESE = f"""
    {_SUBJECTS} WHERE s.id = ANY(%s) AND s.state = 'queued' AND s.not_before >= '9000-01-01+00'
      AND s.waits_for <> ALL(%s)
"""
# A step that is being claimed at this moment is skipped: its call is looked at once more before it
# is sent.
_DUE = f"""
    {_SUBJECTS} WHERE s.state = 'queued' AND s.not_before <= clock_timestamp()
    ORDER BY s.lane, s.priority, s.not_before, s.id LIMIT %s FOR UPDATE OF s SKIP LOCKED
"""


@participant
def wake_freed(only: Sequence[UUID] | None = None) -> list[str]:
    """Let parked steps go on that nothing holds any more, and correct the reason of those that
    something else holds; all of them, or ``only`` these. Returns the lanes to ring. Cheap when
    nothing is parked, and when all that is parked is held by what is firmly in force."""
    barriers = read()
    firm = _firm(barriers)
    pages = _parked_besides(firm) if only is None else [fetch(_THESE, [list(only), firm])]
    lanes: set[str] = set()
    for rows in pages:
        free, other = [], {}
        for *values, lane, waits_for in rows:
            subject = _subject(values)
            block = barrier_of(barriers, subject)
            if block is None or block.retry_in_s is not None:
                free.append(subject.step_id)
                lanes.add(lane)
            elif block.waits_for != waits_for:
                other[subject.step_id] = block.waits_for
        _let_go(free)
        _explain(other)
    return sorted(lanes)


@participant
def loosely_parked(*, besides: Collection[UUID]) -> list[UUID]:
    """Parked steps for a reason that isn't firmly in force, some left out."""
    left_out = set(besides)
    pages = _parked_besides(_firm(read()))
    return [row[0] for rows in pages for row in rows if row[0] not in left_out]


def _firm(barriers: Barriers) -> list[str]:
    """The reasons that let nobody go on; pauses are lifted run by run (``journal.parking``)."""
    stops = [barrier.stop_words(s) for s in barriers.stops if not s.percent]
    shut = [s for some in barriers.shut.values() for s in some if s.opens_in_s is None]
    return [*stops, *(barrier.open_words(s.tool) for s in shut), WAITS_FOR_RESUME]


def _parked_besides(reasons: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    last = UUID(int=0)
    while rows := fetch(_PARKED, [last, list(reasons), PAGE]):
        yield rows
        last = rows[-1][0]


def _subject(values: Sequence[Any]) -> Subject:
    step_id, run_id, tool, agent_version_id, job, is_undoing = values
    agent = catalog.agent_slug(agent_version_id)
    return Subject(step_id, run_id, tool, agent, job, is_undoing)


def _let_go(step_ids: Sequence[UUID]) -> int:
    return execute(
        "UPDATE runs_step SET not_before = clock_timestamp(), waits_for = ''"
        " WHERE id = ANY(%s) AND state = 'queued' AND not_before >= '9000-01-01+00'",
        [list(step_ids)],
    )


def _explain(words: Mapping[UUID, str]) -> None:
    if words:
        execute(
            "UPDATE runs_step s SET waits_for = v.words"
            " FROM unnest(%s::uuid[], %s::text[]) AS v(id, words)"
            " WHERE s.id = v.id AND s.state = 'queued' AND s.not_before >= '9000-01-01+00'",
            [list(words), list(words.values())],
        )


@participant
def park_due(*, limit: int = PAGE) -> int:
    """Park due steps that something holds for good, so that pages say so at once and the queue's
    head stays free; claimers park the rest as they meet it. Steps that are locked are theirs.
    Returns how many were parked."""
    barriers = read()
    rows = [] if barriers.empty else fetch(_DUE, [limit])
    found = [_subject(values) for *values, _, _ in rows]
    blocks = {s.step_id: barrier_of(barriers, s) for s in found}
    return _park({i: b.waits_for for i, b in blocks.items() if b and b.retry_in_s is None})


def _park(held: Mapping[UUID, str]) -> int:
    return execute(
        "UPDATE runs_step s SET waits_for = v.words, not_before = %s"
        " FROM unnest(%s::uuid[], %s::text[]) AS v(id, words)"
        " WHERE s.id = v.id AND s.state = 'queued'",
        [PARKED_UNTIL, list(held), list(held.values())],
    )


@participant
def wake_probers(names: Iterable[str]) -> list[str]:
    """A tool is back: let the steps that waited for its breaker go on now. Returns their lanes."""
    words = [w for n in set(names) for w in (barrier.open_words(n), barrier.probe_words(n))]
    # Skipped where somebody else moves the step: they have given it another time.
    rows = words and fetch(
        "UPDATE runs_step SET not_before = clock_timestamp(), waits_for = '' WHERE id IN ("
        " SELECT id FROM runs_step WHERE state = 'queued' AND waits_for = ANY(%s)"
        " FOR UPDATE SKIP LOCKED) RETURNING lane",
        [words],
    )
    return sorted({row[0] for row in rows})
