"""What may not begin now: open breakers, stops in force, paused runs.

One pure answer for every place where the engine begins something: a claim, a run's next step, a
retry. What has begun is finished and recorded; a barrier only keeps things from beginning.

Who is stopped by what: a stop of a tool stops its calls; a stop of an agent or a job stops the
calls and the agent's turns of their runs; a stop of everything stops everything. Undoing
reverses harm that was done already, so only a stop that says the tool itself must not be called, of
the tool or of everything, stops it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from apps.runs.domain.pausing import WAITS_FOR_RESUME

PROBE_PATIENCE_S = 3.0  # how long others wait while a half-open breaker is being tried
STAGES = (0, 10, 50, 100)  # percent of the runs that a stop lets go on; at 100 it is lifted
WAITS_LENGTH = 160


class StopScope(StrEnum):
    """What a stop holds."""

    TOOL = "tool"  # target "<domain>/<tool>"
    AGENT = "agent"  # target: the agent's slug, whatever its version
    JOB = "job"  # target: the job's slug, whatever its contract version
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Shut:
    """A breaker that isn't closed. ``opens_in_s``: until it may be probed, ``None`` while a person
    keeps it open. A half-open one, or one whose time is over, is tried with a few probes."""

    tool: str
    host: str
    opens_in_s: float | None

    @property
    def wants_probes(self) -> bool:
        return self.opens_in_s is not None and self.opens_in_s <= 0


@dataclass(frozen=True, slots=True)
class StopInForce:
    """A stop in force. ``percent`` of the runs are let go on: 0 unless it is being lifted."""

    id: int
    scope: StopScope
    target: str
    percent: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that wants to begin. ``tool`` is "<domain>/<tool>", empty for an agent's turn;
    ``agent`` and ``job`` are slugs."""

    step_id: UUID
    run_id: UUID
    tool: str
    agent: str
    job: str
    is_undoing: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Why something doesn't begin, in a few plain words, and in how many seconds to ask again;
    ``None``: it is parked until somebody lifts what holds it."""

    waits_for: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class Barriers:
    """All that is in force at one moment. ``hosts``: domain → host on which its tools live."""

    shut: Mapping[str, Sequence[Shut]] = field(default_factory=dict)  # by "<domain>/<tool>"
    stops: Sequence[StopInForce] = ()
    paused: frozenset[UUID] = frozenset()
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing is in force: everything may begin."""
        return not (self.shut or self.stops or self.paused)


def admits(stop: StopInForce, run_id: UUID) -> bool:
    """Whether a stop that is being lifted lets this run go on already: the same runs at every
    stage, and more of them at each."""
    return zlib.crc32(run_id.bytes) % 100 < stop.percent


def holds(stop: StopInForce, *, tool: str, agent: str, job: str, is_undoing: bool = False) -> bool:
    """Whether the stop is about this at all, at whatever stage it is."""
    if stop.scope is StopScope.EVERYTHING:
        return True
    if stop.scope is StopScope.TOOL:
        return stop.target == tool
    mine = agent if stop.scope is StopScope.AGENT else job
    return stop.target == mine and not is_undoing


def shut_of(barriers: Barriers, tool: str) -> Shut | None:
    """The breaker that is in the way of a tool on its host: of any host where its host isn't
    known, and one without a host is of all hosts. One that lets nobody through comes first."""
    host = barriers.hosts.get(tool.partition("/")[0])
    found = [s for s in barriers.shut.get(tool, ()) if host is None or s.host in {"", host}]
    return next((s for s in found if not s.wants_probes), found[0] if found else None)


def blocked(
    barriers: Barriers,
    *,
    tool: str,
    agent: str,
    job: str,
    is_undoing: bool = False,
    run_id: UUID | None = None,
) -> Block | None:
    """What keeps this from beginning; ``None`` when nothing does. A breaker that wants probes is
    no block here: whoever begins has to take a probe first (``journal.barriers.take_probes``).
    Without ``run_id`` neither a pause nor the stages of a stop are regarded."""
    if barriers.empty:
        return None
    for stop in barriers.stops:
        if holds(stop, tool=tool, agent=agent, job=job, is_undoing=is_undoing) and not (
            run_id is not None and admits(stop, run_id)
        ):
            return Block(stop_words(stop), None)
    if run_id in barriers.paused and not is_undoing:
        return Block(WAITS_FOR_RESUME, None)
    shut = shut_of(barriers, tool) if tool else None
    if shut is None or shut.wants_probes:
        return None
    return Block(open_words(tool), shut.opens_in_s)


def stop_words(stop: StopInForce) -> str:
    """What a step that a stop holds waits for."""
    if stop.scope is StopScope.EVERYTHING:
        words = "everything is stopped"
    else:
        words = f"{stop.scope.value} {stop.target} is stopped"
    return words[:WAITS_LENGTH]


def open_words(tool: str) -> str:
    """What a step before an open breaker waits for."""
    return f"breaker of {tool} is open"[:WAITS_LENGTH]


def probe_words(tool: str) -> str:
    """What a step waits for while others probe the tool."""
    return f"breaker of {tool} is being tried"[:WAITS_LENGTH]


def next_stage(percent: int) -> int:
    """The percent after this one; 100 lifts the stop."""
    return next((stage for stage in STAGES if stage > percent), STAGES[-1])
