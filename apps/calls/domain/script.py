"""Following a script: what a scripted agent says and proposes next.

A script is a list of items: ``{"say": text}`` (the agent speaks), ``{"hear": text}`` (the
customer speaks), ``{"call": {"tool", "args", "ref"}}`` (a proposal), ``{"result": value}`` (what
the run gives back) and ``{"done": summary}``.
A live model's turns are appended to the same list, so every kind of agent is followed alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as proposed: nothing has been decided about it."""

    tool: str
    arguments: Any  # an object, if the agent did as it was told
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes next: utterances, then a call, or the end (``done``), or neither: the script is
    exhausted and the agent has to be asked again. ``cursor`` is where to go on from."""

    messages: tuple[tuple[str, str], ...]
    call: ToolCall | None
    done: bool
    summary: str
    cursor: int


def items_of(stored: Any) -> list[Mapping[str, Any]]:
    """The items of a script as it is stored, whatever stands there: one that can't be read is empty
    and keeps its place, and a call always names a tool."""
    return [_item(item) for item in stored] if isinstance(stored, list) else []


def _item(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        return {}
    call = item.get("call")
    if "call" not in item or (isinstance(call, Mapping) and isinstance(call.get("tool"), str)):
        return item
    return {**item, "call": {**(call if isinstance(call, Mapping) else {}), "tool": "?"}}


def follow(items: Sequence[Mapping[str, Any]], cursor: int) -> Turn:
    """Walk from ``cursor`` to the next call or the end, collecting what is said on the way."""
    messages: list[tuple[str, str]] = []
    for position in range(cursor, len(items)):
        item = items[position]
        after = position + 1
        if "say" in item:
            messages.append(("agent", str(item["say"])))
        elif "hear" in item:
            messages.append(("customer", str(item["hear"])))
        elif "call" in item:
            return Turn(tuple(messages), _call(item["call"]), False, "", after)
        elif "done" in item:
            return Turn(tuple(messages), None, True, str(item["done"]), after)
    return Turn(tuple(messages), None, False, "", len(items))


class Move(StrEnum):
    """What a run does once all that a turn says has been said."""

    CALL = "call"  # the turn's call is proposed
    THINK = "think"  # a live agent is asked for its next turn
    STOP = "stop"  # it would go on, and its contract allows no more
    END = "end"


def next_move(turn: Turn, *, live: bool, limit: str) -> Move:
    """``limit``: what its contract allows no more of, if anything. A run that is done ends as any
    other does, however much it has used."""
    thinks = live and not turn.done and turn.call is None
    if turn.call is None and not thinks:
        return Move.END
    if limit:
        return Move.STOP
    return Move.THINK if thinks else Move.CALL


def _call(raw: Mapping[str, Any]) -> ToolCall:
    return ToolCall(str(raw["tool"]), raw.get("args") or {}, str(raw.get("ref", "")))
