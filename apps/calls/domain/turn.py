"""One turn of a live agent: what its model is asked, and what it wants done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is given for its next turn."""

    models: Sequence[str]
    prompt: str
    tools: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    timeout_s: float
    preferred: str = ""  # the agent's own model, if another is asked first
    reason: str = ""  # why another is


@dataclass(frozen=True, slots=True)
class Thought:
    """A live agent's turn: script items to append, and what it cost."""

    items: Sequence[Mapping[str, Any]]
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None
    model: str = ""
    degraded: bool = False
    degraded_reason: str = ""
