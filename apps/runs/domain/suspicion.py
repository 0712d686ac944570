"""Which step ended its worker? Which steps may be claimed together with it, and when it is poison.

A worker that dies takes the leases of everything it held with it, and at most one of those steps is
to blame. So the group that is claimed together shrinks with each loss (group testing: Dorfman,
1943): the many that are innocent are cleared in a few groups, and what is left is tried alone.

Being lost proves nothing: machines are switched off, and workers are killed by people, by the
kernel and by tests. A step is poison by evidence only: a worker that crashed or hung while it ran
this step's code, or with nothing but this step. A kill from outside leaves no trace that tells it
from a step which kills its own process, so it counts little, and only when it came in the very
moment in which the step's own code was running, alone. Whatever can't be explained in any way is
given up after very many losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from apps.runs.domain.results import Disposition
from apps.runs.domain.states import State


@dataclass(frozen=True, slots=True)
class ClaimGroup:
    """Steps that may be tried together in one process: those that ``low`` to ``high`` workers were
    lost with, at most ``most`` of them."""

    low: int
    high: int
    most: int


MANY = ClaimGroup(0, 1, 64)
FEW = ClaimGroup(2, 2, 16)
ALONE = ClaimGroup(3, 32_767, 1)  # the highest that a smallint column holds
LOSSES_ALONE = 3
MOST_LOSSES = ALONE.low + LOSSES_ALONE  # with this one a step that is to blame each time is poison
UNEXPLAINED = 40  # losses without any evidence, after which nobody tries any more
GUILTY = 24  # points of evidence
CRASH_POINTS = GUILTY // LOSSES_ALONE
KILL_POINTS = GUILTY // 8


def claim_group_of(losses: int) -> ClaimGroup:
    """The claim group of a step after ``losses``."""
    return next(c for c in (MANY, FEW, ALONE) if losses <= c.high)


class WorkHorseEnd(StrEnum):
    """How a work-horse ended, as its worker saw it."""

    CRASHED = "crashed"  # of itself: by a fatal signal, or it left in the midst of its work
    STUCK = "hung"  # it made no progress, and its worker ended it
    KILLED = "was killed"  # by a signal that anybody may have sent
    LEFT = "left"  # as it should, or told to


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the end of one process: how, and the steps whose code it was running."""

    process: str = ""
    end: WorkHorseEnd = WorkHorseEnd.LEFT
    steps: tuple[UUID, ...] = ()

    @property
    def is_strong(self) -> bool:
        """Whether nobody outside can have done it."""
        return self.end in {WorkHorseEnd.CRASHED, WorkHorseEnd.STUCK}

    @property
    def suspects(self) -> tuple[UUID, ...]:
        """The steps one of which did it; all others of the process are cleared."""
        return self.steps if self.is_strong else ()

    def points(self, step_id: UUID, *, alone: bool) -> int:
        """What this says against a step that the process held."""
        if self.is_strong:
            named = self.steps == (step_id,) or (alone and not self.steps)
            return CRASH_POINTS if named or (alone and step_id in self.steps) else 0
        if self.end is WorkHorseEnd.KILLED and alone and step_id in self.steps:
            return KILL_POINTS
        return 0


def after_loss(
    evidence: Evidence, step_id: UUID, *, losses: int, blame: int, alone: bool
) -> tuple[int, int]:
    """Losses and points of evidence of a step that was lost with a process. One that the end of the
    process names is tried alone from now on; one that it clears is as innocent as before."""
    points = min(blame + evidence.points(step_id, alone=alone), GUILTY)
    if evidence.suspects and step_id not in evidence.suspects:
        return losses, points
    if step_id in evidence.suspects:
        return max(losses + 1, ALONE.low), points
    return losses + 1, points


def is_poison(*, losses: int, blame: int, most_losses: int = UNEXPLAINED) -> bool:
    """Whether nobody tries this step again by itself."""
    return blame >= GUILTY or losses >= most_losses


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a step."""

    state: State
    disposition: str
    error_class: str


def fate(*, poison: bool, intent_open: bool, keyed: bool) -> Fate:
    """What becomes of a step whose worker went silent. A change that was under way and takes no
    key may have happened, and nobody makes it again."""
    if intent_open and (poison or not keyed):
        why = "poison" if poison else "worker_lost"
        return Fate(State.CONFIRMATION_UNKNOWN, Disposition.UNKNOWN, why)
    if poison:
        return Fate(State.FAILED, Disposition.FAILED, "poison")
    return Fate(State.QUEUED, "", "lease_lost")


def verdict(end: WorkHorseEnd, *, losses: int, blame: int) -> str:
    """Why a step is poison, for people."""
    if blame < GUILTY:
        return (
            f"{losses} workers were lost one after the other while they held this step, the last"
            f" {losses - ALONE.low} with nothing else to do; it is not known why. It is not tried"
            " again by itself."
        )
    return (
        f"Each worker that carried out this step ended with it: the last one {end.value} with"
        " nothing else to blame. It is not tried again by itself."
    )
