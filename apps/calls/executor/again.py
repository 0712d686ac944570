"""What an answer with an error comes to once the tool was asked about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apps.calls.domain.retry import Ending
from apps.calls.executor.result import CallResult


def found(first: CallResult, content: str, data: Any, took_ms: float) -> CallResult:
    """The look-up knows the key: it was done, and this is its answer."""
    note = f"The tool answered with an error, but its look-up knows the key: {first.error}"
    return CallResult(
        Ending.ANSWERED,
        content,
        data,
        http_status=first.http_status,
        duration_ms=took_ms,
        notes=(note[:1000],),
        looked_up=True,
    )


def sent_again(first: CallResult, again: CallResult) -> CallResult:
    """What the same key said when it was sent once more. An error that stays is believed: had it
    been done, the key would have brought its answer."""
    took = first.duration_ms + again.duration_ms
    if again.ending is Ending.ANSWERED:
        note = f"The first answer was an error; the same key then brought this: {first.error}"
        return replace(again, notes=(*again.notes, note[:1000]), duration_ms=took)
    if again.ending in {Ending.ERRED, Ending.REFUSED}:
        return replace(again, ending=Ending.REFUSED, duration_ms=took)
    said = f"The tool answered with an error ({first.error}), and the same key can't tell more: "
    return left_open(again, f"{said}{again.error}", took)


def left_open(result: CallResult, said: str, took_ms: float) -> CallResult:
    """Nobody can tell whether it was done."""
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
