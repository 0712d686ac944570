"""A tool module of the process (``python:tests.engine.deadly_tools``) that ends the process.

The address in the arguments names how; any other is answered as it should be, after a moment."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any


def _loop_forever() -> None:
    while True:
        pass


def _match_forever() -> None:
    re.match(r"(a|aa)+$", "a" * 70 + "b")


ENDS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
    "sleep": lambda: time.sleep(3600),
    "loop": _loop_forever,
    "match": _match_forever,
}


async def call(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """Answer after a moment, or never."""
    await asyncio.sleep(0.01)
    ENDS.get(str(arguments.get("address1")), lambda: None)()
    return {"done": True}


def call_at_once(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """Answer without waiting, if that is asked for."""
    if arguments.get("address2") != "quick":
        return None
    ENDS.get(str(arguments.get("address1")), lambda: None)()
    return {"done": True}
