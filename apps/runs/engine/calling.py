"""One call of a tool, and the question behind it where the tool answers with an error.

A tool that changes something and reports an error may have changed it before. Whoever can be asked
is asked before that error is believed: the look-up tool, else the tool itself with the same key. It
is the same attempt: nothing of it is written before it is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apps.calls.domain.lookup import Looked, read_answer, stored_answer
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient, again
from apps.runs.work import Call, Claimed

LOOK_UP_S = 10.0


def meta(work: Claimed) -> dict[str, Any]:
    """What every request about a step tells the tool server beside its arguments."""
    return {**work.context, "run": str(work.run_id)}


def meta_of_call(work: Claimed) -> dict[str, Any]:
    """What a call tells: the key too, where it changes something."""
    said = meta(work)
    if work.mutates:
        said["idempotency_key"] = work.idempotency_key
    return said


async def call(tools: ToolClient, action: Call) -> CallResult:
    """Make the call of a step. Never raises for what the tool does."""
    result = await _send(tools, action, str(action.attempt_id))
    if result.ending is not Ending.ERRED or not action.work.mutates:
        return result
    if action.look_up:
        return await _looked_up(tools, action, result)
    if action.work.idempotency == "keyed":
        second = await _send(tools, action, f"{action.attempt_id}-again")
        return again.sent_again(result, second)
    return result


async def _send(tools: ToolClient, action: Call, call_id: str) -> CallResult:
    work = action.work
    return await tools.call(
        action.server,
        work.tool_name,
        work.arguments,
        meta=meta_of_call(work),
        call_id=call_id,
        timeout_s=action.timeout_s,
        hidden=work.hidden,
    )


async def _looked_up(tools: ToolClient, action: Call, result: CallResult) -> CallResult:
    """What the look-up says about the call that was answered with an error."""
    work = action.work
    asked = await tools.call(
        action.server,
        action.look_up,
        {"idempotency_key": work.idempotency_key},
        meta=meta(work),
        call_id=f"{action.attempt_id}-look-up",
        timeout_s=min(action.timeout_s, LOOK_UP_S),
        hidden=work.hidden,
    )
    answer = asked.document if asked.ending is Ending.ANSWERED else None
    looked = read_answer(answer, tool=work.tool_name, arguments=work.arguments)
    took = result.duration_ms + asked.duration_ms
    if looked is Looked.FOUND:
        return again.found(result, *stored_answer(answer.get("result")), took)
    if looked is Looked.ABSENT:
        return replace(result, ending=Ending.REFUSED, duration_ms=took)
    why = asked.error or "it gave no usable answer"
    said = f"The tool answered with an error ({result.error}), and the look-up can't tell: {why}"
    return again.left_open(result, said, took)
