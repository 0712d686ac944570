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


async def call(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one call. ``mark`` asks for the moment to be written down by this outside witness;
    ``seconds`` how long to wait first."""
    if mark := arguments.get("mark"):
        _witness(str(mark))
    if tool in {"wait", "hang"}:
        await asyncio.sleep(float(arguments.get("seconds", 1)))
    key = meta.get("idempotency_key")
    return {"n": arguments.get("n", 0), **({"effect_id": f"n-{key[:16]}"} if key else {})}


def _witness(mark: str) -> None:
    line = json.dumps({"mark": mark, "at": time.time()}) + "\n"
    descriptor = os.open(os.environ[WITNESS], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())  # one write: lines of two processes never mix
    finally:
        os.close(descriptor)
