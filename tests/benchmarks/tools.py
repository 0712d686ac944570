"""The benchmark's tools, called inside the worker: they answer at once, wait, or note the time.

The engine takes a step to them as it does to any tool (gate, intent, attempt, receipt); only the
network between is left out, as it is for the peers, whose steps are functions too.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any

WITNESS = "TOWER_BENCH_WITNESS"  # a file: one line for each call that carries a mark


WAITING = {"wait", "hang"}


async def call(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one call of a tool that waits ``seconds`` first."""
    await asyncio.sleep(float(arguments.get("seconds", 1)))
    return _answer(arguments, meta)


def call_at_once(
    tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Answer one call of a tool that doesn't wait: a plain function, as the peers' steps are."""
    return None if tool in WAITING else _answer(arguments, meta)


def _answer(arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """``mark`` asks for the moment to be written down by this outside witness."""
    if mark := arguments.get("mark"):
        _witness(str(mark))
    key = meta.get("idempotency_key")
    return {"n": arguments.get("n", 0), **({"effect_id": f"n-{key[:16]}"} if key else {})}


def _witness(mark: str) -> None:
    line = json.dumps({"mark": mark, "at": time.time()}) + "\n"
    descriptor = os.open(os.environ[WITNESS], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())  # one write: lines of two processes never mix
    finally:
        os.close(descriptor)
