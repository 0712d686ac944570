"""The items of an agent's script, hidden: see ``apps.calls.domain.script`` for their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.redaction.domain.hidden import Hidden

Item = Mapping[str, Any]


def items(hidden: Hidden, found: Sequence[Item]) -> list[Item]:
    """All of them without hidden values: what a call names is learnt first, so that it is hidden in
    what is said before it too. What can't be read stays for whoever says so."""
    for item in found:
        _learn(hidden, item)
    return [_masked(hidden, item) for item in found]


def _learn(hidden: Hidden, item: Item) -> None:
    if not isinstance(item, Mapping):
        return
    call = item.get("call")
    for document in (call.get("args") if isinstance(call, Mapping) else None, item.get("result")):
        if isinstance(document, str):
            hidden.learn_text(document)
        else:
            hidden.learn(document)
    for word in ("say", "hear", "done"):
        if isinstance(item.get(word), str):
            hidden.learn_text(item[word])


def _masked(hidden: Hidden, item: Item) -> Item:
    if not isinstance(item, Mapping):
        return item
    return {key: _part(hidden, key, value) for key, value in item.items()}


def _part(hidden: Hidden, key: str, value: Any) -> Any:
    if key == "call" and isinstance(value, Mapping):
        args = value.get("args")
        return {**value, "args": _arguments(hidden, args)} if "args" in value else value
    if key == "result":
        return hidden.proposed(value)
    return hidden.message(value) if isinstance(value, str) else hidden.mask(value)


def _arguments(hidden: Hidden, args: Any) -> Any:
    return hidden.message(args) if isinstance(args, str) else hidden.proposed(args)
