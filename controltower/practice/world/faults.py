"""Faults that a service commits on purpose, at the level of HTTP, so that a caller can be tested.

Each fault has a kind, a scope (a tool or every company tool, how many times, with what probability)
and its own numbers. The first fault that matches a call is the one it suffers. Tools named
``tower_`` never suffer one unless a fault names them, and ``tower_faults`` never does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from controltower.practice.world.errors import BadArgumentsError

KINDS = {
    "delay": "wait `seconds`, then work and answer",
    "late_reply": "work at once, answer after `seconds`",
    "drop_reply": "work, then cut the connection without a byte",
    "error_before": "answer `status` without working",
    "error_after": "work, then answer `status`",
    "rate_limit": "answer 429 without working; `retry_after` as text or `retry_after_date_s`",
    "hang": "neither work nor answer until the caller leaves",
    "garbage": "work, then answer 200 with bytes that are not JSON",
    "slow_drip": "work, then answer a byte every `seconds`",
    "huge": "work, then answer `megabytes` of blanks",
    "redirect": "answer 307 to `location` without working",
}
FAULT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": list(KINDS), "description": str(KINDS)},
        "tool": {"type": "string"},
        "count": {"type": "integer"},
        "probability": {"type": "number"},
        "seconds": {"type": "number"},
        "status": {"type": "integer"},
        "retry_after": {"type": "string"},
        "retry_after_date_s": {"type": "number"},
        "location": {"type": "string"},
        "megabytes": {"type": "integer"},
    },
    "required": ["kind"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class Fault:
    """One switch; ``count`` is how often it may still fire, ``None`` for ever."""

    kind: str
    tool: str | None = None
    count: int | None = None
    probability: float = 1.0
    seconds: float = 1.0
    status: int = 503
    retry_after: str | None = None
    retry_after_date_s: float | None = None
    location: str = "http://169.254.169.254/"
    megabytes: int = 64
    fired: int = field(default=0)

    @property
    def works(self) -> bool:
        """Whether the call is carried out although the caller may never know."""
        return self.kind not in ("error_before", "rate_limit", "hang", "redirect")

    def retry_after_header(self) -> str | None:
        """Return what to put into ``Retry-After``, if anything."""
        if self.retry_after_date_s is not None:
            when = datetime.now(UTC) + timedelta(seconds=self.retry_after_date_s)
            return format_datetime(when, usegmt=True)
        return self.retry_after


class Faults:
    """The switches of one service."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(0)  # noqa: S311 - chance in tests, repeatable by its seed

    def __bool__(self) -> bool:
        return bool(self._faults)

    def replace(self, specs: Sequence[dict[str, Any]], *, seed: int | None = None) -> None:
        """Replace all switches; raises ``BadArgumentsError`` for one that makes no sense."""
        self._faults = [_read(spec) for spec in specs]
        self._random = random.Random(0 if seed is None else seed)  # noqa: S311 - as above

    def state(self) -> list[dict[str, Any]]:
        """Return every switch with how often it has fired."""
        return [
            {part.name: getattr(fault, part.name) for part in fields(Fault)}
            for fault in self._faults
        ]

    def strike(self, tool: str | None) -> Fault | None:
        """Choose the fault that a call of this tool suffers, and count it."""
        if tool is None or tool == "tower_faults":
            return None
        for fault in self._faults:
            meant = fault.tool == tool or (fault.tool is None and not tool.startswith("tower_"))
            left = fault.count is None or fault.fired < fault.count
            if meant and left and self._random.random() < fault.probability:
                fault.fired += 1
                return fault
        return None


def called_tool(body: bytes) -> str | None:
    """Return the tool that an MCP request calls, if it calls one."""
    try:
        message = json.loads(body)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else None


def _read(spec: dict[str, Any]) -> Fault:
    unknown = sorted(set(spec) - set(FAULT_SCHEMA["properties"]))
    if unknown:
        raise BadArgumentsError(f"Unknown in a fault: {', '.join(unknown)}")
    if spec.get("kind") not in KINDS:
        raise BadArgumentsError(f"A fault is one of {', '.join(KINDS)}")
    return Fault(**spec)
