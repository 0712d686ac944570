"""Asking a small model: one JSON object for a turn, held to a schema while it is written.

A small model gets tool calling wrong but cannot leave a grammar, so its turn is exactly one of:
call a tool (with arguments of the tool's own shape), say something, or be done. What it is told is
cut to what it can keep in mind. Whatever it makes of that is a proposal like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from apps.kernel.exactjson import dumps

CALLS = 5  # so many, then it has to speak
REQUEST_CHARS = 1200
ENTRY_CHARS = 500
PROMPT_CHARS = 300
KEPT_ENTRIES = 8
TEXT_CHARS = 300
ARGUMENT_CHARS = 60
ITEMS = 4
KNOWN_NAMES = 24
KEYWORDS = frozenset({"type", "enum", "const", "required", "minimum", "maximum"})
# What looks like an id or an address in a conversation: a word with a #, a digit or an @ in it.
NAME = re.compile(r"#\w+|[\w.+-]*(?:\d|\w@\w)[\w.+@-]*")

Schema = dict[str, Any]


def turn_schema(
    tools: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, Any]],
    output: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The shape of the next turn. A small model would answer without looking and make ids up: its
    first turn is a call, ids are chosen among those that occur in the conversation, the same tool
    is not offered twice in a row, and after ``CALLS`` calls only words are left. Where a result of
    the shape ``output`` is wanted, it can't end without one."""
    text = {"type": "string", "maxLength": TEXT_CHARS}
    names = known_names(history)
    words = [_turn("say", text=text), _turn("done", summary=text)]
    if output:
        words = [_turn("done", summary=text, result=_value("result", output, names))]
    made = [entry["tool"] for entry in history if entry["role"] == "tool"]
    calls = [
        _turn("call", tool={"const": t["name"]}, arguments=_arguments(t["schema"], names))
        for t in tools
        if t["name"] not in made[-1:]
    ]
    if not calls or len(made) >= CALLS:
        return {"type": "object", "anyOf": words}
    return {"type": "object", "anyOf": [*calls, *words] if made else calls}


def _turn(do: str, **properties: Schema) -> Schema:
    return _object({"do": {"const": do}, **properties})


def _object(properties: Schema) -> Schema:
    closed = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


def known_names(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """What looks like an id or an address in what was said and answered, the latest first."""
    said = [_content(entry) for entry in reversed(history) if entry["role"] != "agent"]
    found = (name.rstrip(".,") for text in said for name in NAME.findall(text))
    return list(dict.fromkeys(found))[:KNOWN_NAMES]


def _arguments(schema: Mapping[str, Any], names: Sequence[str]) -> Schema:
    """A tool's own schema, reduced to what a grammar knows and kept short."""
    needed, properties = schema.get("required") or (), schema.get("properties") or {}
    return _object({n: _value(n, s, names) for n, s in properties.items() if n in needed})


def _value(name: str, schema: Any, names: Sequence[str]) -> Schema:
    if not isinstance(schema, Mapping):  # “true”, which takes anything
        return {"type": "string", "maxLength": ARGUMENT_CHARS}
    kind = schema.get("type")
    if kind == "object":
        return _arguments(schema, names)
    kept = {key: value for key, value in schema.items() if key in KEYWORDS}
    if kind == "array":
        item = _value(name, schema.get("items") or {"type": "string"}, names)
        return {**kept, "items": item, "minItems": 1, "maxItems": ITEMS}
    if kind == "string" and "enum" not in kept:
        is_name = name.rstrip("s").endswith("_id") or name == "email"
        return {"enum": list(names)} if is_name and names else {**kept, "maxLength": ARGUMENT_CHARS}
    return kept or {"type": "string", "maxLength": ARGUMENT_CHARS}


def instructions(prompt: str, tools: Sequence[Mapping[str, Any]]) -> str:
    """The first paragraph of the prompt, the tools in a line each, and how to answer."""
    role = " ".join(prompt.split("\n\n", 1)[0].split())[:PROMPT_CHARS]
    lines = [f"- {tool['name']}: {_first_sentence(tool['description'])}" for tool in tools]
    listed = "\n".join(lines)
    return (
        f"{role}\n\nTools:\n{listed}\n\n"
        "Answer with one JSON object. Look things up first, do what the customer asks, then"
        ' tell them. {"do": "call", "tool": …, "arguments": {…}} uses a tool,'
        ' {"do": "say", "text": …} speaks to the customer, {"do": "done", "summary": …} ends.'
    )


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0][:80]


def transcript(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(role, text) pairs of a plain chat: the request and the latest entries, each cut short. A
    call is told in the form in which the model has to write it, and its result as a message."""
    first, later = history[:1], history[1:][-KEPT_ENTRIES:]
    said = [(_speaker(entry), _content(entry)[:REQUEST_CHARS]) for entry in first]
    for entry in later:
        content = _content(entry)[:ENTRY_CHARS]
        if entry["role"] == "tool":
            tool, arguments = json.dumps(entry["tool"]), dumps(entry["arguments"])
            turn = f'{{"do": "call", "tool": {tool}, "arguments": {arguments}}}'
            said.append(("assistant", turn[:ENTRY_CHARS]))
            said.append(("system", f"Result of {entry['tool']}: {content}"))
        elif entry["role"] == "agent":
            said.append(("assistant", json.dumps({"do": "say", "text": content})))
        else:
            said.append((_speaker(entry), content))
    return said


def _speaker(entry: Mapping[str, Any]) -> str:
    """What a customer says is the user's; what the tower or a tool says is the system's, a role
    that no customer can take."""
    return "user" if entry["role"] == "customer" else "system"


def _content(entry: Mapping[str, Any]) -> str:
    """The words, without what a small model's template would take for the beginning of another
    message."""
    return str(entry.get("content") or "").replace("<|", "< |")


def items_of(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Script items of a turn. Words end it, as with any model: the customer's answer would be a
    new turn."""
    if turn.get("do") == "call":
        return [{"call": {"tool": str(turn.get("tool", "")), "args": turn.get("arguments", {})}}]
    text = str(turn.get("text") or turn.get("summary") or "").strip()
    given: list[dict[str, Any]] = [{"result": turn["result"]}] if "result" in turn else []
    said = [{"say": text}] if text and (given or turn.get("do") == "say") else []
    return [*said, *given, {"done": text}]
