"""Tools that live in a Python module of the company's own: ``python:package.module``.

The module has an ``async def call(tool, arguments, meta)`` that returns JSON, or raises
``ValueError`` when it refuses and nothing happened. Any other error, and a time-out, leave it open
whether something happened, as with a tool on the network. What it returned was done, however odd it
is. For tools that neither wait nor take long, the module may have a plain ``def call_at_once``
beside it, which answers like ``call``, or returns ``None`` for a tool that it doesn't answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

from apps.calls.domain.content import Content, Part, of_value
from apps.calls.domain.envelope import LIMIT_BYTES, clean
from apps.calls.domain.retry import Ending
from apps.calls.executor.result import CallResult, EndedCall, Trace
from apps.kernel import exactjson

InProcess = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Any]


async def call(
    module: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    meta: Mapping[str, Any],
    timeout_s: float,
) -> CallResult:
    """Call a tool of the module. Never raises for what it does, not even what ends a process."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s) as patience:
            return _answered(await _call_of(module)(tool, arguments, meta), started)
    except BaseException as error:
        if _is_ours(error):
            raise
        if not patience.expired():
            return _broke(error, started)
        said = f"no answer in {timeout_s:g} s"
        return EndedCall(Trace(), started).as_(Ending.LOST, "timeout", said)


def at_once(
    module: str, tool: str, arguments: Mapping[str, Any], *, meta: Mapping[str, Any]
) -> CallResult | None:
    """Call a tool that the module answers at once; ``None``, and nothing was done, for others."""
    started = time.monotonic()
    try:
        if (quick := _quick(module)) is None:
            return None
        data = quick(tool, arguments, meta)
        return None if data is None else _answered(data, started)
    except BaseException as error:  # whatever a tool does is a result, not a crash
        return _broke(error, started)


def _is_ours(error: BaseException) -> bool:
    """Whether we were cancelled, rather than the tool raising what looks like it."""
    task = asyncio.current_task()
    is_cancelled = task is not None and task.cancelling() > 0
    return isinstance(error, asyncio.CancelledError) and is_cancelled


def _answered(value: Any, started: float) -> CallResult:
    ended = EndedCall(Trace(), started).with_content(_content(value))
    replayed = isinstance(value, Mapping) and bool(value.get("replayed"))
    return replace(ended, replayed=replayed) if replayed else ended


def _content(value: Any) -> Content:
    try:
        content = of_value(exactjson.check(value))
    except ValueError as error:  # it is no JSON of ours; it was done all the same
        return _odd(value, str(error))
    if len(content.told) <= LIMIT_BYTES:
        return content
    return _odd(value, f"It is larger than {LIMIT_BYTES // 2**20} MiB.")


def _odd(value: Any, why: str) -> Content:
    """An answer that can't be kept as a value: how it looks, cut to what an answer may be."""
    try:
        looks = clean(repr(value))
    except Exception:
        looks = f"a {type(value).__name__}"
    raw = looks.encode(errors="replace")
    digest = hashlib.sha256(raw).hexdigest()
    body = raw[:LIMIT_BYTES]
    part = Part("unknown", digest, len(raw), "", name=type(value).__name__[:80], body=body)
    told = looks if len(looks) <= 2000 else f"[an answer of {len(raw):,} characters: left out]"
    return Content(told, None, (part,), notes=(f"The answer is no JSON that can be kept: {why}",))


def _broke(error: BaseException, started: float) -> CallResult:
    ended = EndedCall(Trace(), started)
    if isinstance(error, ValueError):
        return ended.as_(Ending.REFUSED, "refused_by_tool", str(error))
    return ended.as_(Ending.LOST, "tool_error", f"{type(error).__name__}: {error}"[:500])


@cache
def _quick(module: str) -> InProcess | None:
    return getattr(import_module(module), "call_at_once", None)


@cache
def _call_of(module: str) -> InProcess:
    found: InProcess = import_module(module).call
    return found
