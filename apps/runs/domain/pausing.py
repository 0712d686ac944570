"""Pausing a run: what may be paused, and what its steps are said to wait for."""

from __future__ import annotations

from apps.runs.domain.states import CANCELLABLE

# The same words as the engine's barrier gives for a step that it parks itself.
WAITS_FOR_RESUME = "the run is paused"
OPEN = CANCELLABLE  # whatever could be cancelled can be paused


def may_pause(state: str, *, is_paused: bool) -> bool:
    """Whether a run in this state can be paused: it is open, and isn't paused already."""
    return not is_paused and state in OPEN
