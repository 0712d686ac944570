"""Everything that can go wrong in a tool service, as one small tree.

WorldError
    ToolRefusedError            the system of record said no; nothing was changed
        UnknownToolError        there is no tool of that name
        BadArgumentsError       the arguments do not fit the tool
    IdempotencyConflictError    a key came back with another call behind it
    PackMissingError            a company's data is not on this machine
"""

from __future__ import annotations


class WorldError(Exception):
    """A failure of a tool service; ``code`` is stable and safe to branch on."""

    code = "world_error"


class ToolRefusedError(WorldError):
    """The company's system refused the call, in words meant for the caller.

    A refusal promises that the call changed nothing.
    """

    code = "refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnknownToolError(ToolRefusedError):
    """The domain has no tool of that name."""

    code = "unknown_tool"


class BadArgumentsError(ToolRefusedError):
    """Arguments are missing, unknown or of a shape the tool cannot read."""

    code = "bad_arguments"


class IdempotencyConflictError(WorldError):
    """The key is already taken by a call with another tool or other arguments."""

    code = "idempotency_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used for a different call")
        self.key = key


class PackMissingError(WorldError):
    """A company's data is absent; the message says which and how to add it."""

    code = "pack_missing"
