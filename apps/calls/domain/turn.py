"""One turn of a live agent: what its model is asked, and what it wants done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.catalog.domain.language_models import ModelTerms
from apps.kernel.schemas import Schema

Misfit = Callable[[Sequence[Mapping[str, Any]]], str]


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is given for its next turn."""

    models: Sequence[str]
    prompt: str
    tools: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    timeout_s: float
    known: Mapping[str, ModelTerms] = field(default_factory=dict)  # those of the catalog, by name
    preferred: str = ""  # the agent's own model, if another is asked first
    reason: str = ""  # why another is
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the agent, as a pack names them
    output: Schema | None = None  # what the run's result has to fit, where the contract says so
    misfit: Misfit | None = None  # what is wrong with the result if the run ends with these items


@dataclass(frozen=True, slots=True)
class Thought:
    """A live agent's turn: script items to append, and what it cost."""

    items: Sequence[Mapping[str, Any]]
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None
    model: str = ""
    catalog_model: str = ""  # slug and version, of a model of the catalog
    degraded: bool = False
    degraded_reason: str = ""
