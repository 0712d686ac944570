"""What a tool server says of itself and its tools, as a type of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@dataclass(frozen=True, slots=True)
class ServedTool:
    """One tool as its server lists it. ``hints``: those that the server states, by the names that
    the protocol has for them."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    hints: Mapping[str, bool] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """What is kept of it, to compare with what the server says later."""
        return {
            "description": self.description,
            "input_schema": dict(self.input_schema),
            "output_schema": None if self.output_schema is None else dict(self.output_schema),
            "hints": dict(self.hints),
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """A server's answer: its tools in its order, and who answered. ``twice``: names that it lists
    more than once, of which the first is kept."""

    tools: Mapping[str, ServedTool]
    twice: tuple[str, ...] = ()
    protocol: str = ""
    server: str = ""
    latency_ms: float = 0.0

    def input_schemas(self) -> dict[str, dict[str, Any]]:
        return {name: dict(tool.input_schema) for name, tool in self.tools.items()}
