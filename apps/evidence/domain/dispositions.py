"""What became of a step, and the sets of it that the engine, policies and pages mean."""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """What became of a step. Empty while it isn't settled."""

    EXECUTED = "executed"  # carried out, with an answer
    DEDUPLICATED = "deduplicated"  # an earlier step of the run made this very change
    INHERITED = "inherited"  # the run that this one was forked from had carried it out
    DENIED = "denied"  # by policy
    REJECTED = "rejected"  # by a person
    EXPIRED = "expired"  # nobody answered its question in time
    REFUSED_BY_TOOL = "refused_by_tool"  # the tool answered that it won't, or with an error
    FAILED = "failed"  # it certainly changed nothing
    UNKNOWN = "unknown"  # it may have changed something
    CANCELLED = "cancelled"  # its run was cancelled before it began


# Its change stands, whoever made it.
DONE = frozenset({Disposition.EXECUTED, Disposition.DEDUPLICATED, Disposition.INHERITED})
# This lineage made the change itself, so it is this lineage's to undo.
MADE = frozenset({Disposition.EXECUTED, Disposition.INHERITED})
# It did not come to the change that was proposed; the gravest first.
UNDONE = (
    Disposition.UNKNOWN,
    Disposition.DENIED,
    Disposition.REJECTED,
    Disposition.EXPIRED,
    Disposition.REFUSED_BY_TOOL,
    Disposition.FAILED,
)
