"""What a change is known by: the same call of the same run has one key, however often it is
proposed, tried or looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.kernel.canonical import digest
from apps.redaction.domain.hidden import Hidden

KEY_PURPOSE = "tower.key.v1"
ARGUMENTS_PURPOSE = "tower.arguments.v1"
UNDOING_PURPOSE = "tower.undoing.key.v1"


def arguments_digest(arguments: Mapping[str, Any], hidden: Hidden | None = None) -> str:
    """What a call's arguments are known by, whatever of them is hidden by now. Raises what
    ``digest`` raises for what is no JSON."""
    if hidden is not None:
        return hidden.digest(arguments, purpose=ARGUMENTS_PURPOSE)
    return digest(arguments, purpose=ARGUMENTS_PURPOSE)


def change_key(root_id: UUID, tool: str, arguments: str, *, own_step: UUID | None = None) -> str:
    """The idempotency key of a change: one in all branches of a run. ``arguments``: their digest.
    ``own_step``: of a tool whose very call may be made again, the step that makes it."""
    bound = {"run": str(root_id), "tool": tool, "arguments": arguments}
    if own_step is not None:
        bound["step"] = str(own_step)
    return digest(bound, purpose=KEY_PURPOSE)


def undoing_key(run_id: UUID, undoes: UUID, tool: str, arguments: Mapping[str, Any]) -> str:
    """The idempotency key of an undoing: the same for every try of undoing this step this way, so
    that a tool that takes keys does it once, and different from any other step's."""
    bound = {
        "run": str(run_id),
        "undoes": str(undoes),
        "tool": tool,
        "arguments": digest(dict(arguments), purpose=UNDOING_PURPOSE),
    }
    return digest(bound, purpose=UNDOING_PURPOSE)
