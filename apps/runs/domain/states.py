"""The states people see, and the one table of legal transitions.

The database enforces the same table (trigger in migration 0002); a test compares the two. Sets of
states that several places mean are named here, once.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    ACCEPTED = "accepted"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CONFIRMATION_UNKNOWN = "confirmation_unknown"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    CANCELLED = "cancelled"
    SHED = "shed"


S = State

TRANSITIONS: dict[State, frozenset[State]] = {
    S.ACCEPTED: frozenset({S.QUEUED, S.CANCELLED, S.SHED, S.FAILED}),
    S.QUEUED: frozenset({S.RUNNING, S.CANCELLED, S.FAILED, S.SHED}),
    S.RUNNING: frozenset(
        {
            S.QUEUED,
            S.WAITING_APPROVAL,
            S.SUCCEEDED,
            S.FAILED,
            S.CONFIRMATION_UNKNOWN,
            S.COMPENSATING,
            S.CANCELLED,
        }
    ),
    S.WAITING_APPROVAL: frozenset({S.QUEUED, S.RUNNING, S.FAILED, S.CANCELLED}),
    S.CONFIRMATION_UNKNOWN: frozenset(
        {S.QUEUED, S.RUNNING, S.SUCCEEDED, S.FAILED, S.COMPENSATING, S.CANCELLED}
    ),
    S.SUCCEEDED: frozenset({S.COMPENSATING}),
    # A person may have a poison step tried again; the database refuses it for any other failure.
    S.FAILED: frozenset({S.COMPENSATING, S.QUEUED}),
    S.COMPENSATING: frozenset({S.COMPENSATED, S.CONFIRMATION_UNKNOWN, S.FAILED}),
    S.COMPENSATED: frozenset(),
    S.CANCELLED: frozenset({S.COMPENSATING}),  # what it had done before can still be undone
    S.SHED: frozenset(),
}

TERMINAL = frozenset({S.SUCCEEDED, S.FAILED, S.COMPENSATED, S.CANCELLED, S.SHED})
NEEDS_A_PERSON = frozenset({S.WAITING_APPROVAL, S.CONFIRMATION_UNKNOWN})
OPEN = frozenset(State) - TERMINAL
CANCELLABLE = frozenset(s for s in State if S.CANCELLED in TRANSITIONS[s])  # pausable, too
UNDER_WAY = frozenset({S.QUEUED, S.RUNNING})  # the engine has it
LIVE = UNDER_WAY | {S.WAITING_APPROVAL}  # goes on by itself, or by a decision
UNSETTLED = UNDER_WAY | NEEDS_A_PERSON  # of a step: how it ends isn't written yet
UNDOABLE = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.CONFIRMATION_UNKNOWN})  # of a run


def is_legal(old: State, new: State) -> bool:
    """Whether a run or step in ``old`` may become ``new``."""
    return new in TRANSITIONS[old]
