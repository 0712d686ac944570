"""How a step ends: the decisions of the engine's transaction, without a row or a statement.

The engine asks them about what its statements found, the simulation about what stands in its
memory.
"""

from __future__ import annotations

from datetime import datetime

from apps.calls.domain.retry import Ending, RetryVerdict
from apps.runs.domain.results import AttemptOutcome, Disposition
from apps.runs.domain.states import State

WITHOUT_CALL = {"rejected": Disposition.REJECTED, "expired": Disposition.EXPIRED}
REFUSALS = frozenset({Ending.REFUSED, Ending.ERRED})


def of_attempt(verdict: RetryVerdict, ending: Ending) -> tuple[State, Disposition]:
    """State and disposition of a step that isn't tried again after an attempt that ended so."""
    if verdict is RetryVerdict.UNKNOWN:
        return State.CONFIRMATION_UNKNOWN, Disposition.UNKNOWN
    if verdict is RetryVerdict.FAIL:
        return State.FAILED, Disposition.FAILED
    if ending in REFUSALS:
        return State.FAILED, Disposition.REFUSED_BY_TOOL
    return State.SUCCEEDED, Disposition.EXECUTED


def attempt_outcome(verdict: RetryVerdict, ending: Ending, *, timed_out: bool) -> AttemptOutcome:
    """How the attempt itself is written down."""
    if verdict is RetryVerdict.SETTLE:
        return AttemptOutcome.OK if ending is Ending.ANSWERED else AttemptOutcome.TOOL_ERROR
    if verdict is RetryVerdict.RETRY:
        return AttemptOutcome.TIMEOUT if timed_out else AttemptOutcome.RETRYABLE
    return AttemptOutcome.UNKNOWN if verdict is RetryVerdict.UNKNOWN else AttemptOutcome.FAILED


def by_approval(state: str, *, intent_open: bool) -> Disposition | None:
    """How a step ends for which an approval was asked that is in this ``state`` by now; ``None``:
    it goes on. A change that was begun is finished, whatever people said since."""
    return None if intent_open else WITHOUT_CALL.get(state)


def is_overdue(now: datetime, deadline_at: datetime, *, intent_open: bool) -> bool:
    """Whether a step ends since its run is late. A change that was begun is finished."""
    return not intent_open and now >= deadline_at


def gives_up(disposition: str) -> bool:
    """Whether a step that ended so gives its change up at once: the tool said that it made none."""
    return disposition == Disposition.REFUSED_BY_TOOL


def may_give_up(disposition: str, *, attempted: bool, mutates: bool) -> bool:
    """Whether it does so if none of its attempts may have made it."""
    return disposition == Disposition.FAILED and attempted and mutates
