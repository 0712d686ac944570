"""The tools beside the company's own, for whoever runs the agents rather than for agents.

They preview a call, look a key up, read the ledger, reset a world and, in services started for
tests, set faults. Their names start with ``tower_`` and their answers are JSON objects.
"""

from __future__ import annotations

from typing import Any

from controltower.practice.world.errors import BadArgumentsError, UnknownToolError
from controltower.practice.world.faults import FAULT_SCHEMA, Faults
from controltower.practice.world.records import Context, SystemOfRecord
from controltower.practice.world.schemas import Schema, misfit

PREFIX = "tower_"
TEXT: Schema = {"type": "string"}
LATER: Schema = {
    "type": "object",
    "properties": {"tool": TEXT, "args": {"type": "object"}},
    "required": ["tool", "args"],
}


def _tool(description: str, required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "description": description,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": list(required),
            "additionalProperties": False,
        },
    }


ALWAYS: dict[str, Schema] = {
    "tower_preview": _tool(
        "Say what a call would change, and which later calls would then be refused, without making"
        " any.",
        ("tool", "args"),
        tool=TEXT,
        args={"type": "object"},
        then={"type": "array", "items": LATER, "maxItems": 50},
    ),
    "tower_lookup": _tool(
        "Say whether an idempotency key has had its effect, and with what answer.",
        ("idempotency_key",),
        idempotency_key=TEXT,
    ),
    "tower_ledger": _tool(
        "List effects in the order they happened, of one world or of all.",
        world=TEXT,
        after={"type": "integer"},
        limit={"type": "integer"},
    ),
    "tower_reset": _tool(
        "Make a world pristine again and forget its keys.", ("world",), world=TEXT
    ),
}
FOR_TESTS: dict[str, Schema] = {
    "tower_faults": _tool(
        "Replace the faults this service commits, and say how often each has fired.",
        faults={"type": "array", "items": FAULT_SCHEMA},
        seed={"type": "integer"},
    )
}


class TowerTools:
    """The ``tower_`` tools of one service; faults exist only where ``faults`` is given."""

    def __init__(self, records: SystemOfRecord, faults: Faults | None = None) -> None:
        self._records = records
        self._faults = faults
        self.schemas = ALWAYS if faults is None else {**ALWAYS, **FOR_TESTS}

    def call(self, tool: str, args: dict[str, Any], context: Context) -> dict[str, Any]:
        """Answer one of the tools; raises ``ToolRefusedError`` for what it cannot understand."""
        if tool not in self.schemas:
            raise UnknownToolError(f"Unknown tool: {tool}")
        wrong = misfit(self.schemas[tool]["parameters"], args)
        if wrong is not None:
            raise BadArgumentsError(wrong)
        if tool == "tower_preview":
            then = [(later["tool"], later["args"]) for later in args.get("then", ())]
            return self._records.preview(args["tool"], args["args"], context, then=then)
        if tool == "tower_lookup":
            return self._records.lookup(args["idempotency_key"], context.world)
        if tool == "tower_ledger":
            return {"entries": self._records.ledger(**args)}
        if tool == "tower_reset":
            self._records.reset(args["world"])
            return {"reset": args["world"]}
        return self._set_faults(args)

    def _set_faults(self, args: dict[str, Any]) -> dict[str, Any]:
        if self._faults is None:
            raise UnknownToolError("Faults are not enabled here")
        if "faults" in args:
            self._faults.replace(args["faults"], seed=args.get("seed"))
        return {"faults": self._faults.state()}
