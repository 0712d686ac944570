"""What a run counts as, and the share made of it: one definition for every page and for the API.

Pure; ``selectors.counted`` makes the conditions of the database from the same table. Which runs are
meant at all (the stretch of time, the origin, no forks) is the scope's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from statistics import NormalDist

from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import State
from apps.web.domain.quantities import DASH

TOO_FEW = 20
Z95 = NormalDist().inv_cdf(0.975)


class CountsAs(StrEnum):
    """What a run is to the numbers of its job. Each run is exactly one of these."""

    SUCCESS = "success"
    FAILURE = "failure"
    HANDED_OVER = "handed_over"  # properly given to a person: neither of the two above
    CANCELLED = "cancelled"  # withdrawn by a person: neither of the two above
    OPEN = "open"


WORDS = {
    CountsAs.SUCCESS: "Success",
    CountsAs.FAILURE: "No success",
    CountsAs.HANDED_OVER: "Handed over",
    CountsAs.CANCELLED: "Cancelled",
    CountsAs.OPEN: "Still open",
}
# An undone run's work no longer stands, and a customer whose run was shed was turned away.
BY_STATE: Mapping[str, CountsAs] = {
    State.ACCEPTED: CountsAs.OPEN,
    State.QUEUED: CountsAs.OPEN,
    State.RUNNING: CountsAs.OPEN,
    State.WAITING_APPROVAL: CountsAs.OPEN,
    State.CONFIRMATION_UNKNOWN: CountsAs.OPEN,
    State.COMPENSATING: CountsAs.OPEN,
    State.SUCCEEDED: CountsAs.SUCCESS,
    State.FAILED: CountsAs.FAILURE,
    State.COMPENSATED: CountsAs.FAILURE,
    State.SHED: CountsAs.FAILURE,
    State.CANCELLED: CountsAs.CANCELLED,
}
# Where the outcome says what the state doesn't.
BY_OUTCOME: Mapping[tuple[str, str], CountsAs] = {
    (State.SUCCEEDED, RunOutcome.HANDED_OVER): CountsAs.HANDED_OVER,
}
FINISHED = (CountsAs.SUCCESS, CountsAs.FAILURE)  # what a success share is a share of
# Of the finished ones, those that ended by their own work: a shed one never began, and an undone
# one ends when a person says.
TIMED = (State.SUCCEEDED, State.FAILED)


def counts_as(state: str, outcome: str) -> CountsAs:
    """What a run in this state with this outcome counts as. A state that is not known is open:
    nothing says that it has ended."""
    return BY_OUTCOME.get((state, outcome)) or BY_STATE.get(state, CountsAs.OPEN)


def is_timed(state: str, outcome: str) -> bool:
    """Whether a run's duration says how long its customer waited for an outcome."""
    return state in TIMED and counts_as(state, outcome) in FINISHED


def shown_as(state: str, outcome: str) -> str:
    """The word under which charts count a run: its state, or its outcome where that decides what
    the run counts as."""
    return outcome if (state, outcome) in BY_OUTCOME else state


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The 95 % score interval of a share (E. B. Wilson, 1927, JASA 22, 209-212): it stays inside
    0 to 1 and holds for small n, where the usual p ± 1.96·s doesn't."""
    if n <= 0:
        return 0.0, 1.0
    share, square = successes / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def percent(share: float) -> str:
    """Whole percents, but never a rounded-up "100 %" or a rounded-down "0 %"."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{share * 100:.1f} %"
    return f"{share * 100:.0f} %"


@dataclass(frozen=True, slots=True)
class Share:
    """``successes`` of ``n``; below twenty the share isn't shown, since it would mislead."""

    successes: int
    n: int

    @property
    def is_too_few(self) -> bool:
        return self.n < TOO_FEW

    @property
    def value(self) -> float | None:
        return self.successes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.successes, self.n)

    @property
    def words(self) -> str:
        """``85 %``, or why there is none."""
        if self.value is None:
            return DASH
        return "too few" if self.is_too_few else percent(self.value)

    @property
    def interval_words(self) -> str:
        low, high = self.interval
        return "" if self.is_too_few else f"{percent(low)} to {percent(high)}"

    def against(self, target: float | None) -> str:
        """What the interval allows to say: met, maybe met, maybe under, under, or too few."""
        if self.is_too_few or self.value is None or target is None:
            return "too few"
        low, high = self.interval
        if high < target:
            return "under"
        if low >= target:
            return "met"
        return "maybe under" if self.value < target else "maybe met"


VERDICTS = {
    "under": "Under target",
    "maybe under": "Under, within error",
    "maybe met": "Met, within error",
    "met": "Met",
    "too few": "Too few runs",
}
