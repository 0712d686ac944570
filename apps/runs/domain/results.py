"""How runs, steps and attempts end, and where runs come from: every word that is stored of it.

The words stand in rows, events and the API, so they stay; a newer process may store one that an
older one doesn't know, which is why the database holds them as texts and the pages show any.
"""

from __future__ import annotations

from enum import StrEnum

from apps.evidence.domain.dispositions import DONE as DONE
from apps.evidence.domain.dispositions import MADE as MADE
from apps.evidence.domain.dispositions import UNDONE as UNDONE
from apps.evidence.domain.dispositions import Disposition as Disposition


class RunOutcome(StrEnum):
    """What a finished run came to, by its contract. Empty while it isn't known."""

    RESOLVED = "resolved"  # a tool that the job is for was carried out, or the customer answered
    HANDED_OVER = "handed_over"  # given to a person by a tool that the contract names for it
    NOT_RESOLVED = "not_resolved"  # the agent ended without doing what the job is for
    UNKNOWN = "unknown"  # nobody knows whether a change was carried out
    DENIED = "denied"  # policy denied a change
    REJECTED = "rejected"  # a person rejected a change
    APPROVAL_EXPIRED = "approval_expired"  # nobody decided about a change in time
    TOOL_REFUSED = "tool_refused"  # a tool answered that it refuses a change
    ERROR = "error"  # a change, or asking the agent, failed
    TIMED_OUT = "timed_out"  # the run's deadline passed
    CANCELLED = "cancelled"  # a person stopped it
    SHED = "shed"  # rejected under load: it never began
    COMPENSATED = "compensated"  # everything that it did was undone
    PARTLY_COMPENSATED = "partly_compensated"  # some of what it did was undone, the rest stays


class AttemptOutcome(StrEnum):
    """How one try of a step ended. Empty while it is under way, and after a crash until its lease
    is taken back."""

    OK = "ok"  # the tool answered
    TOOL_ERROR = "tool_error"  # the tool refused, or answered with an error that settles the step
    TIMEOUT = "timeout"  # no answer in time; the step is tried again
    RETRYABLE = "retryable"  # another failure after which the step is tried again
    FAILED = "failed"  # it certainly changed nothing, and isn't tried again
    UNKNOWN = "unknown"  # it may have changed something, and isn't tried again
    LEASE_LOST = "lease_lost"  # its worker was given up
    RELEASED = "released"  # its worker gave it back before anything was sent


class RunSource(StrEnum):
    """Who asked for a run."""

    API = "api"  # a company's system
    MANUAL = "manual"  # nobody in particular: a script, a test
    FORK = "fork"  # a person who tries how another way would have gone
    PRACTICE = "desk"  # a case to practise on; stored under its first name
    REPLAY = "replay"  # a recorded episode


class Proof(StrEnum):
    """How it is known that a call was answered."""

    ANSWER = "answer"  # its own answer
    REPLAYED = "replayed"  # the tool told again what it had answered
    LOOKUP = "lookup"  # the tool was asked by the idempotency key
    PERSON = "person"  # a person found it out
