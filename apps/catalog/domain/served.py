"""What a tool server says of itself and its tools, as a type of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.kernel import exactjson

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
MOST_CHARACTERS = 256 * 1024  # of what a server says of one tool
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@dataclass(frozen=True, slots=True)
class ServedTool:
    """One tool as its server lists it. ``hints``: those that the server states, by the names that
    the protocol has for them. ``problem``: why the rest can't be read; there is none then."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    hints: Mapping[str, bool] = field(default_factory=dict)
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """What is kept of it, to compare with what the server says later."""
        if self.problem:
            return {"problem": self.problem}
        return {
            "description": self.description,
            "input_schema": dict(self.input_schema),
            "output_schema": None if self.output_schema is None else dict(self.output_schema),
            "hints": dict(self.hints),
        }


def read_tool(
    name: str, description: str, input_schema: Any, output_schema: Any, hints: Mapping[str, Any]
) -> ServedTool:
    """A tool out of what the server wrote, all of which may be anything."""
    try:
        said = exactjson.check([description, input_schema or {}, output_schema])
        size = len(exactjson.dumps(said))
    except exactjson.NotCarriedError as error:
        return ServedTool(name, problem=str(error))
    if not isinstance(said[1], dict) or not isinstance(said[2], dict | None):
        return ServedTool(name, problem="Its schema is not an object.")
    if size > MOST_CHARACTERS:
        return ServedTool(name, problem=f"It is larger than {MOST_CHARACTERS // 1024} kB.")
    known = {hint: hints[hint] for hint in HINTS if isinstance(hints.get(hint), bool)}
    return ServedTool(name, said[0], said[1], said[2], known)


@dataclass(frozen=True, slots=True)
class ServedTools:
    """A server's answer: its tools in its order, and who answered. ``twice``: names that it lists
    more than once, of which the first is kept. ``unnamable``: how many more have a name that the
    protocol doesn't know."""

    tools: Mapping[str, ServedTool]
    twice: tuple[str, ...] = ()
    unnamable: int = 0
    protocol: str = ""
    server: str = ""
    latency_ms: float = 0.0

    def input_schemas(self) -> dict[str, dict[str, Any]]:
        return {name: dict(tool.input_schema) for name, tool in self.tools.items()}
