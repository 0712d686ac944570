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
from apps.calls.executor import CallResult, ToolClient
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
        again = await _send(tools, action, f"{action.attempt_id}-again")
        return _again(result, again)
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
    )
    answer = asked.document if asked.ending is Ending.ANSWERED else None
    looked = read_answer(answer, tool=work.tool_name, arguments=work.arguments)
    took = result.duration_ms + asked.duration_ms
    if looked is Looked.FOUND:
        content, data = stored_answer(answer.get("result"))
        note = f"The tool answered with an error, but its look-up knows the key: {result.error}"
        return CallResult(
            Ending.ANSWERED,
            content,
            data,
            http_status=result.http_status,
            duration_ms=took,
            notes=(note[:1000],),
            looked_up=True,
        )
    if looked is Looked.ABSENT:
        return replace(result, ending=Ending.REFUSED, duration_ms=took)
    why = asked.error or "it gave no usable answer"
    said = f"The tool answered with an error ({result.error}), and the look-up can't tell: {why}"
    return _open(result, said, took)


def _again(first: CallResult, again: CallResult) -> CallResult:
    """What the same key said when it was sent once more. An error that stays is believed: had it
    been done, the key would have brought its answer."""
    took = first.duration_ms + again.duration_ms
    if again.ending is Ending.ANSWERED:
        note = f"The first answer was an error; the same key then brought this: {first.error}"
        return replace(again, notes=(*again.notes, note[:1000]), duration_ms=took)
    if again.ending in {Ending.ERRED, Ending.REFUSED}:
        return replace(again, ending=Ending.REFUSED, duration_ms=took)
    said = f"The tool answered with an error ({first.error}), and the same key can't tell more: "
    return _open(again, f"{said}{again.error}", took)


def _open(result: CallResult, said: str, took_ms: float) -> CallResult:
    return replace(
        result,
        ending=Ending.LOST,
        content="",
        data=None,
        parts=(),
        error_class="unconfirmed_error",
        error=said[:2000],
        duration_ms=took_ms,
    )
