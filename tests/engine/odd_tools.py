"""A tool module of the process (``python:tests.engine.odd_tools``) whose answers nobody expects.

The address in the arguments names the kind of oddity; any other is answered as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


class Panic(BaseException):
    """As a library written in Rust ends a call."""


def nested(depth: int) -> list[Any]:
    """A list in a list in a list …"""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


ODD: dict[str, Any] = {
    "not a number": {"value": float("nan")},
    "infinite": {"value": float("-inf")},
    "half a surrogate": {"text": "\ud800", "\udfff": 1},
    "nul": {"te\x00xt": "a\x00b"},
    "deep": {"value": nested(3000)},
    "deeper than PostgreSQL": {"value": nested(90_000)},
    "huge": {"value": 10**5000},
    "a list": ["balance 5 -> 4"],
    "a set": {"value": {1, 2}},
    "keys": {1: 2, None: 3, (4, 5): 6},
    "megabyte": {"text": "x" * 1_100_000},
    "wide": {str(n): n for n in range(50_000)},
}
RAISED: dict[str, BaseException] = {
    "panic": Panic("called `Option::unwrap()` on a `None` value"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "cancelled": asyncio.CancelledError(),
    "recursion": RecursionError("maximum recursion depth exceeded"),
    "memory": MemoryError(),
    "mute": type("MuteError", (Exception,), {"__str__": lambda _: 1 / 0})(),
}


def _answer(arguments: Mapping[str, Any]) -> Any:
    kind = str(arguments.get("address1", ""))
    if kind in RAISED:
        raise RAISED[kind]
    return ODD.get(kind, {"done": True})


async def call(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """Answer after a moment, as a tool on the network would."""
    if str(arguments.get("address2")) == "at once":
        return _answer(arguments)
    await asyncio.sleep(0.001)
    return _answer(arguments)


def call_at_once(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """Answer without waiting, if that is asked for."""
    return _answer(arguments) if arguments.get("address2") == "quick" else None
