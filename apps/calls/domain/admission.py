"""Whether a new run is taken in now, later, or not at all.

Work is told apart by how much it matters: C0 undoing and approved work, C1 interactive, C2
normal, C3 batch (the criticality classes of Google's "Site Reliability Engineering", chapter 21).
A run of some class is compared with what waits of its own class *and of all that matter more*, and
the bounds grow with what matters: so whatever is taken in, everything that matters more would have
been taken in as well, and under load C3 is shed first, then C2. C1 is told to come later before it
is shed, and C0 is never turned away.

The people's queue is part of the load: a run whose question to a person would wait longer than the
time there is to answer it would only expire, so that it is deferred until people have caught up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from apps.web.domain.quantities import coarse_words


class Class(IntEnum):
    """What a run is worth keeping: lower is kept longer."""

    C0 = 0
    C1 = 1
    C2 = 2
    C3 = 3


WORDS = {
    Class.C0: "undoing and approved work",
    Class.C1: "interactive",
    Class.C2: "normal",
    Class.C3: "batch",
}
OF_CRITICALITY = {"critical": Class.C1, "high": Class.C1, "normal": Class.C2, "low": Class.C3}

CALM = 0.9  # of the bound: come back once so little waits
RETRY_UNKNOWN_S = 60.0  # where nobody knows how fast the queue moves
RETRY_LEAST_S = 5.0
RETRY_MOST_S = 900.0
NEEDED_BY = 0.05  # a job that asks people less often than this isn't kept waiting for them
PEOPLE_LEAST = 0.5  # decisions a minute expected of people who weren't asked to be faster
PEOPLE_AWAY_S = 3600.0  # no decision in the last hour and a question this old: nobody is there
LOOK_AGAIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Accept:
    """Taken in now."""


@dataclass(frozen=True, slots=True)
class Defer:
    """Taken in, but begun later: looked at again after ``for_s`` seconds."""

    for_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Shed:
    """Rejected. Coming back before ``retry_after_s`` seconds is of no use."""

    reason: str
    retry_after_s: float


Admission = Accept | Defer | Shed


@dataclass(frozen=True, slots=True)
class Queues:
    """Runs by class that wait for their first step (``queued``) or for calmer times
    (``deferred``), and how many leave the queue a second; None: nobody knows, because the queue
    was empty meanwhile and nothing was measured but what came in."""

    queued: Mapping[Class, int] = field(default_factory=dict)
    deferred: Mapping[Class, int] = field(default_factory=dict)
    per_s: float | None = None

    def up_to(self, cls: Class) -> int:
        """Queued runs that matter as much as ``cls`` or more."""
        return sum(n for c, n in self.queued.items() if c <= cls)

    def held_up_to(self, cls: Class) -> int:
        return sum(n for c, n in self.deferred.items() if c <= cls)


@dataclass(frozen=True, slots=True)
class People:
    """The queue of the people who decide for a job: questions that wait, those that runs under way
    will still ask, decisions in the last hour, age of the oldest question."""

    waiting: float = 0.0
    coming: float = 0.0
    decided_last_hour: int = 0
    oldest_s: float = 0.0

    @property
    def per_minute(self) -> float:
        """How fast people decide. Measured over the last hour; but people who were asked little
        decided little, so that less than one decision in two minutes is believed only when nobody
        decided at all while a question waited for an hour."""
        if not self.decided_last_hour and self.oldest_s >= PEOPLE_AWAY_S:
            return 0.0
        return max(self.decided_last_hour / 60.0, PEOPLE_LEAST)

    @property
    def is_assumed(self) -> bool:
        """Whether the pace is what is expected of people, not what was measured."""
        return self.per_minute > self.decided_last_hour / 60.0

    @property
    def wait_s(self) -> float:
        """How long the next question would wait."""
        ahead = self.waiting + self.coming
        if not ahead:
            return 0.0
        return ahead / self.per_minute * 60.0 if self.per_minute else float("inf")


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A run that asks to be taken in. ``needs_people``: the share of its job's runs that ask a
    person; ``window_s``: the time a person has; ``deadline_s``: the time the run has."""

    cls: Class
    deadline_s: float
    needs_people: float = 0.0
    window_s: float = 0.0


def class_of(criticality: str, asked: int | None = None) -> Class:
    """A contract's class. Whoever starts a run may make it matter less, never more."""
    own = OF_CRITICALITY.get(criticality, Class.C2)
    return own if asked is None or own is Class.C0 else Class(min(Class.C3, max(own, asked)))


def decide(
    case: AdmissionRequest, queues: Queues, bounds: Mapping[Class, int], people: People
) -> Admission:
    """Take it in, later, or not at all. ``bounds`` must not shrink with importance."""
    if case.cls is Class.C0:
        return Accept()
    machine = _machine(case, queues, bounds)
    if not isinstance(machine, Accept):
        return machine
    return _people(case, queues, bounds, people)


def _machine(case: AdmissionRequest, queues: Queues, bounds: Mapping[Class, int]) -> Admission:
    waiting, bound = queues.up_to(case.cls), bounds[case.cls]
    if waiting >= bound:
        reason = f"Queue full: {waiting:,} runs of equal or higher priority (limit {bound:,})"
        return _turn_away(case, queues, bound, waiting - bound * CALM, reason)
    if queues.per_s and waiting / queues.per_s > case.deadline_s:
        most = queues.per_s * case.deadline_s
        reason = (
            f"{waiting:,} runs wait and {queues.per_s:.3g} start per second:"
            " its deadline would pass in the queue"
        )
        return _turn_away(case, queues, bound, waiting - most * CALM, reason)
    return Accept()


def _turn_away(
    case: AdmissionRequest, queues: Queues, bound: int, excess: float, reason: str
) -> Admission:
    later = retry_after(excess, queues.per_s)
    if case.cls is Class.C1 and queues.held_up_to(Class.C1) < bound:
        return Defer(min(later, LOOK_AGAIN_S), reason)
    return Shed(reason, later)


def _people(
    case: AdmissionRequest, queues: Queues, bounds: Mapping[Class, int], people: People
) -> Admission:
    if case.needs_people < NEEDED_BY or people.wait_s <= case.window_s:
        return Accept()
    reason = people_words(people, case.window_s)
    if queues.held_up_to(case.cls) >= bounds[case.cls]:
        return Shed(f"{reason}; the deferral queue is full", RETRY_MOST_S)
    if people.wait_s == float("inf"):
        return Defer(RETRY_MOST_S, reason)
    over = people.wait_s - case.window_s
    return Defer(min(max(over, LOOK_AGAIN_S), RETRY_MOST_S), reason)


def people_words(people: People, window_s: float) -> str:
    """Why a run waits for people to catch up."""
    ahead = round(people.waiting + people.coming)
    window = coarse_words(window_s)
    questions = f"{ahead:,} question{'' if ahead == 1 else 's'}"
    if not people.per_minute:
        return f"{questions} wait for a person and nobody has decided in the last hour"
    wait = coarse_words(people.wait_s)
    return f"its approval would wait {wait}, longer than its window of {window}: {questions} ahead"


def retry_after(excess: float, per_s: float | None) -> float:
    """Seconds until ``excess`` runs have left the queue."""
    if not per_s:
        return RETRY_UNKNOWN_S
    return min(RETRY_MOST_S, max(RETRY_LEAST_S, excess / per_s))
