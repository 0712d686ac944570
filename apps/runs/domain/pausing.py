"""Pausing a run: what may be paused, and what its steps are said to wait for."""

from __future__ import annotations

from apps.runs.domain.states import CANCELLABLE

# The same words as the engine's barrier gives for a step that it parks itself.
WAITS_FOR_RESUME = "the run is paused"
OPEN = CANCELLABLE  # whatever could be cancelled can be paused
