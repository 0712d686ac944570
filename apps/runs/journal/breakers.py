"""Circuit breakers, kept in the database so that all workers see the same ones.

Counting is cheap while all is well: a process remembers for a second which breakers aren't closed,
and keeps the successes of the others to itself until one of them fails. Breaker rows are locked in
order of name, so that two commits can't deadlock. Only the database's clock is read.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from threading import Lock

from apps.audit.domain.actors import ENGINE, Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain import breaker as rules
from apps.catalog import adapters as servers
from apps.kernel.errors import UnavailableError
from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch

Name = tuple[str, str]  # "<domain>/<tool>", host
Call = tuple[str, str, bool, bool]  # "<domain>/<tool>", its host, it failed, it timed out
REMEMBER_S = 1.0
HOSTS_FOR_S = 5.0
_ROW = """
    SELECT state, window_started_at, calls, failures, timeouts_in_a_row, open_until, reason,
        manual, probes_passed, clock_timestamp()
    FROM runs_breaker WHERE tool_name = %s AND host = %s FOR UPDATE
"""
_CHANGE = """
    UPDATE runs_breaker SET state = %(state)s, window_started_at = %(window_started_at)s,
        calls = %(calls)s, failures = %(failures)s, timeouts_in_a_row = %(timeouts_in_a_row)s,
        open_until = %(open_until)s, reason = %(reason)s, manual = %(manual)s,
        probes_passed = %(probes_passed)s,
        actor = CASE WHEN %(by_person)s THEN %(actor)s WHEN %(changed)s THEN '' ELSE actor END,
        changed_at = CASE WHEN %(changed)s THEN %(now)s ELSE changed_at END,
        opened_at = CASE WHEN %(opens)s THEN %(now)s ELSE opened_at END
    WHERE tool_name = %(tool)s AND host = %(host)s
"""


class _Memory:
    """What this process knows without asking. Statistics, not truth: a transaction that is rolled
    back and repeated may count its successes twice."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.shut: set[Name] = set()
        self.until = 0.0
        self.successes: dict[Name, tuple[float, int]] = {}
        self.hosts: dict[str, tuple[float, str]] = {}

    def add(self, name: Name, count: int, now: float) -> None:
        since, known = self.successes.get(name, (now, 0))
        if now - since > rules.WINDOW.total_seconds():
            since, known = now, 0
        self.successes[name] = (since, known + count)

    def take(self, name: Name, now: float) -> int:
        since, known = self.successes.pop(name, (now, 0))
        return known if now - since <= rules.WINDOW.total_seconds() else 0


_memory = _Memory()


def host_of(server: str) -> str:
    """The host of a tool server by slug, without its port: a service that was started anew on
    another port is the same host. Empty when no address is known."""
    now = time.monotonic()
    until, host = _memory.hosts.get(server, (0.0, ""))
    if now < until:
        return host
    try:
        host = servers.look_up(server).host
    except UnavailableError:
        host = ""
    _memory.hosts[server] = (now + HOSTS_FOR_S, host)
    return host


def hosts(servers: Iterable[str]) -> dict[str, str]:
    """Hosts of tool servers by slug; a domain's server has the domain's slug."""
    return {slug: host for slug in set(servers) if (host := host_of(slug))}


def remember(shut: set[Name]) -> None:
    """Somebody has just read which breakers aren't closed."""
    with _memory.lock:
        _memory.shut, _memory.until = shut, time.monotonic() + REMEMBER_S


def forget() -> None:
    """Forget what this process remembers."""
    with _memory.lock:
        _memory.until, _memory.successes = 0.0, {}


def _shut() -> set[Name]:
    if time.monotonic() >= _memory.until:
        rows = fetch("SELECT tool_name, host FROM runs_breaker WHERE state <> 'closed'", [])
        remember({(tool, host) for tool, host in rows})
    return _memory.shut


# --- counting -------------------------------------------------------------------------------------


@participant
def note(calls: Sequence[Call]) -> list[str]:
    """Count how calls of tools ended. Returns the tools whose breaker closed, whose waiting steps
    may go on (``barriers.wake_probers``). Where nothing failed and every breaker is closed this
    costs one small query a second."""
    if not calls:
        return []
    tally: dict[Name, list[int]] = defaultdict(lambda: [0, 0, 0])
    for tool, host, failed, timed_out in calls:
        counts = tally[tool, host]
        counts[0] += not failed
        counts[1] += failed
        counts[2] += timed_out
    shut, now = _shut(), time.monotonic()
    for tool, host in list(tally):  # a breaker without a host is of all hosts
        if host and (tool, "") in shut:
            tally[tool, ""] = [
                a + b for a, b in zip(tally[tool, ""], tally[tool, host], strict=True)
            ]
    told, closed = [], []
    for name in sorted(tally):
        if tally[name][1] or name in shut:
            with _memory.lock:
                earlier = _memory.take(name, now)
            if fact := _note_one(name, earlier, *tally[name]):
                told.append(fact)
                closed += [name[0]] if fact.kind == "breaker.closed" else []
        else:
            with _memory.lock:
                _memory.add(name, tally[name][0], now)
    record_many(told)
    return closed


def _note_one(
    name: Name, earlier: int, successes: int, failures: int, timeouts: int
) -> Fact | None:
    before, now = _lock(name)
    after = before
    if earlier and before.state == "closed":
        after = rules.after(after, successes=earlier, failures=0, timeouts=0, now=now)
    jitter = random.random()  # noqa: S311  # spreads load, guards nothing
    after = rules.after(
        after, successes=successes, failures=failures, timeouts=timeouts, now=now, jitter=jitter
    )
    return _write(name, before, after, now=now, actor=ENGINE, by_person=False)


def _lock(name: Name) -> tuple[rules.BreakerStatus, datetime]:
    # Of two workers that meet a breaker first one inserts it; both then wait for its row, so that
    # neither counts over what the other counted.
    execute(
        "INSERT INTO runs_breaker (tool_name, host, state, window_started_at, calls, failures,"
        " timeouts_in_a_row, probes_passed, reason, manual, actor)"
        " VALUES (%s, %s, 'closed', clock_timestamp(), 0, 0, 0, 0, '', false, '')"
        " ON CONFLICT DO NOTHING",
        list(name),
    )
    [row] = fetch(_ROW, list(name))
    return rules.BreakerStatus(*row[:-1]), row[-1]


def _write(
    name: Name,
    before: rules.BreakerStatus,
    after: rules.BreakerStatus,
    *,
    now: datetime,
    actor: Actor,
    by_person: bool,
) -> Fact | None:
    """Write the breaker whose row is locked. The fact to record, if its state changed."""
    if after == before:
        return None
    changed = after.state != before.state or after.manual != before.manual
    values = asdict(after) | {"tool": name[0], "host": name[1], "now": now, "actor": actor.text}
    values |= {"changed": changed, "opens": changed and after.state == "open"}
    execute(_CHANGE, values | {"by_person": by_person})  # type: ignore[arg-type]  # named ones
    _memory.until = 0.0
    if not changed:
        return None
    kind = "breaker.opened" if after.state == "open" else f"breaker.{after.state}"
    reason = after.reason if after.state == "open" else ""
    return _fact(kind, name, actor, reason=reason, manual=by_person)


def _fact(kind: str, name: Name, actor: Actor, *, reason: str, manual: bool) -> Fact:
    payload = {"host": name[1], "reason": reason, "manual": manual}
    return Fact(kind, actor, "breaker", name[0], None, payload)


# --- probing --------------------------------------------------------------------------------------


@participant
def begin_probing(tool: str, host: str) -> bool:
    """Lock a breaker whose time has come and see that it is half-open. Whether probes may be sent;
    ``False`` also when somebody else is handing them out at this moment."""
    # Locked: another worker hands its probes out at this moment, and ours wait.
    rows = fetch(f"{_ROW} SKIP LOCKED", [tool, host])
    if not rows:
        return False
    before, now = rules.BreakerStatus(*rows[0][:-1]), rows[0][-1]
    if not rules.is_probed(before, now):
        return before.state == "closed"
    if before.state == "open":
        _turn_half_open((tool, host), before, now)
    return True


def _turn_half_open(name: Name, before: rules.BreakerStatus, now: datetime) -> None:
    after = rules.half_opened(before)
    fact = _write(name, before, after, now=now, actor=ENGINE, by_person=False)
    record_many([fact] if fact else [])


@participant
def half_open_due() -> int:
    """Let breakers whose waiting time is over be tried, and forget those that nobody needed for a
    day. The database's clock decides."""
    rows = fetch(
        "SELECT tool_name, host FROM runs_breaker WHERE state = 'open' AND NOT manual"
        " AND open_until <= clock_timestamp() ORDER BY tool_name, host",
        [],
    )
    opened = sum(begin_probing(tool, host) for tool, host in rows)
    execute(
        "DELETE FROM runs_breaker WHERE state = 'closed'"
        " AND window_started_at < clock_timestamp() - interval '1 day'",
        [],
    )
    return opened


# --- people ---------------------------------------------------------------------------------------


@participant
def hold_open(name: Name, *, reason: str, actor: Actor) -> bool:
    """A person opens the breaker until a person closes it. ``False``: one has done so already."""
    before, now = _lock(name)
    if before.manual:
        return False
    after = rules.held_open(before, reason)
    fact = _write(name, before, after, now=now, actor=actor, by_person=True)
    record_many([fact] if fact else [])
    return True


@participant
def let_probe(name: Name, *, reason: str, actor: Actor) -> bool:
    """A person lets an open breaker be tried now. ``False``: it isn't open."""
    before, now = _lock(name)
    if before.state != "open":
        return False
    after = rules.half_opened(before)
    _write(name, before, after, now=now, actor=actor, by_person=True)
    record_many([_fact("breaker.half_open", name, actor, reason=reason, manual=True)])
    return True
