"""A list of tools as a server wrote it, with what can't be read put aside: to the client of the
protocol one wrong entry makes the whole list unreadable, and every other tool with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.catalog.domain.served import HINTS, TOOL_NAME
from apps.kernel import exactjson


@dataclass(slots=True)
class Sieve:
    """What was put aside: ``problems`` by tool, and how many entries name no tool at all."""

    problems: dict[str, str] = field(default_factory=dict)
    unnamable: int = 0

    def body(self, body: bytes, *, is_stream: bool) -> bytes:
        """An HTTP answer to ``tools/list`` without the entries that can't be read; as it came, if
        that is no such answer. ``is_stream``: it is a stream of events."""
        if not is_stream:
            return self._message(body)
        lines = body.split(b"\n")
        return b"\n".join(
            b"data: " + self._message(line[5:].strip()) if line.startswith(b"data:") else line
            for line in lines
        )

    @staticmethod
    def is_answered(body: bytes) -> bool:
        """Whether the beginning of a stream of events holds the answer, whole."""
        if not body.endswith((b"\n\n", b"\r\n\r\n")):
            return False
        for line in body.split(b"\n"):
            try:
                message = json.loads(line[5:]) if line.startswith(b"data:") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict) and ("result" in message or "error" in message):
                return True
        return False

    def _message(self, text: bytes) -> bytes:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return text
        result = message.get("result") if isinstance(message, dict) else None
        if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
            return text
        result["tools"] = [tool for entry in result["tools"] if (tool := self._tool(entry))]
        return json.dumps(message).encode()

    def _tool(self, entry: Any) -> dict[str, Any] | None:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
            self.unnamable += 1
            return None
        if problem := _problem(entry):
            self.problems.setdefault(name, problem)
            return None
        schema = {"type": "object", **entry["inputSchema"]}
        return {**entry, "inputSchema": schema} | _hints(entry.get("annotations"))


def _problem(entry: Mapping[str, Any]) -> str:
    try:
        exactjson.check(dict(entry))
    except exactjson.NotCarriedError as error:
        return str(error)
    schema = entry.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return "Its inputSchema is no schema of an object."
    if not isinstance(entry.get("outputSchema"), dict | None):
        return "Its outputSchema is no schema."
    if not isinstance(entry.get("description"), str | None):
        return "Its description is no text."
    return ""


def _hints(said: Any) -> dict[str, Any]:
    """The annotations that can be read. What else stands there says nothing."""
    if said is None:
        return {}
    known = said if isinstance(said, dict) else {}
    return {"annotations": {h: known[h] for h in HINTS if isinstance(known.get(h), bool)}}
