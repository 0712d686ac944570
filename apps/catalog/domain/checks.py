"""Whether a pack's tools are what their server says they are.

A finding names the tool, the key of its entry in the pack, what is wrong and how to mend it. An
error keeps a pack from being applied; a warning is for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.schemadiff import differences, names, types_of
from apps.catalog.domain.served import ServedTool, ServedTools
from apps.catalog.domain.structure import nearest

READ = "read"
# How the tower calls a tool's preview and its look-up: see docs/tool-servers.md.
SHAPES: Mapping[str, Mapping[str, str]] = {
    "preview": {"tool": "string", "args": "object"},
    "preview_then": {"tool": "string", "args": "object", "then": "array"},
    "lookup": {"idempotency_key": "string"},
}
WORDS = {"preview": "preview", "lookup": "look-up"}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    tool: str
    field: str
    message: str
    fix: str = ""
    is_error: bool = True


def findings(tools: Sequence[Mapping[str, Any]], served: ServedTools) -> list[Diagnostic]:
    """Everything in which the pack's tools and the server's differ, in the pack's order."""
    effects = {tool["name"]: tool["effect"] for tool in tools}
    out: list[Diagnostic] = []
    for tool in tools:
        name = tool["name"]
        if (theirs := served.tools.get(name)) is None:
            near = nearest(name, served.tools)
            message = f"The tool server doesn't serve “{name}”."
            out.append(
                Diagnostic(name, "name", message, near or "Correct the name, or take it out.")
            )
            continue
        if theirs.problem:
            message = f"What the tool server says of “{name}” can't be read: {theirs.problem}"
            out.append(Diagnostic(name, "name", message, "Have the server fix it."))
            continue
        if name in served.twice:
            message = f"The tool server lists “{name}” twice: nobody can tell which is called."
            out.append(Diagnostic(name, "name", message, "Have the server list it once."))
        out += _hints(tool, theirs)
        out += _schema(tool, theirs)
        for key in ("preview", "lookup"):
            if key in tool:
                out += _helper(tool, key, served, effects)
        out += _ahead(tool, served)
    return out


def _hints(tool: Mapping[str, Any], theirs: ServedTool) -> Iterator[Diagnostic]:
    name, effect = tool["name"], tool["effect"]
    reads = theirs.hints.get("readOnlyHint")
    destroys = theirs.hints.get("destructiveHint") is True and reads is not True
    if effect == READ and (reads is False or destroys):
        hint = "destructiveHint: true" if destroys else "readOnlyHint: false"
        yield Diagnostic(
            name,
            "effect",
            f"“{name}” is declared as read, but the server's own hint is {hint}: it changes"
            " something.",
            "Set effect to draft, write or irreversible, or have the server correct its hint.",
        )
    if effect != READ and reads is True:
        yield Diagnostic(
            name,
            "effect",
            f"“{name}” is declared as {effect}, but the server's own hint is readOnlyHint: true."
            f" The tower treats it as {effect}.",
            "Have the server correct its hint, or set effect: read.",
            is_error=False,
        )
    if effect in {"draft", "write"} and destroys:
        yield Diagnostic(
            name,
            "effect",
            f"“{name}” is declared as {effect}, but the server's own hint is destructiveHint: true:"
            " it may not be possible to change it back.",
            "Set effect: irreversible, or have the server correct its hint.",
            is_error=False,
        )
    yield from _repeating(tool, theirs)


def _repeating(tool: Mapping[str, Any], theirs: ServedTool) -> Iterator[Diagnostic]:
    name, again = tool["name"], theirs.hints.get("idempotentHint")
    if tool["effect"] == READ or again is None:
        return
    if tool.get("idempotency") == "keyed" and again is False:
        yield Diagnostic(
            name,
            "idempotency",
            f"“{name}” is declared as keyed, but the server's own hint is idempotentHint: false.",
            "Try it with `manage.py tools check URL --try`, and have the server correct its hint.",
            is_error=False,
        )
    if tool.get("idempotency", "none") == "none" and again is True:
        yield Diagnostic(
            name,
            "idempotency",
            f"“{name}” is declared without idempotency, but the server's own hint is"
            " idempotentHint: true.",
            "If it takes the idempotency key, set idempotency: keyed.",
            is_error=False,
        )


def _schema(tool: Mapping[str, Any], theirs: ServedTool) -> Iterator[Diagnostic]:
    name, stated = tool["name"], tool.get("input_schema")
    if not stated:
        return
    for found in differences(stated, theirs.input_schema):
        message = (
            f"The stated schema of “{name}” is not the server's: {found.name} {found.message}."
        )
        fix = found.fix or "Take over the server's schema, or leave input_schema out."
        yield Diagnostic(name, "input_schema", message, fix, is_error=found.breaks)


def _helper(
    tool: Mapping[str, Any], key: str, served: ServedTools, effects: Mapping[str, str]
) -> Iterator[Diagnostic]:
    name, helper, word = tool["name"], tool[key], WORDS[key]
    if (theirs := served.tools.get(helper)) is None:
        message = f"The {word} of “{name}” is “{helper}”, which the tool server doesn't serve."
        near = nearest(helper, served.tools)
        yield Diagnostic(name, key, message, near or f"Correct the name, or leave {key} out.")
        return
    changes = effects.get(helper, READ) != READ
    if changes or theirs.hints.get("readOnlyHint") is False or theirs.hints.get("destructiveHint"):
        message = f"The {word} of “{name}” is “{helper}”, which changes something itself."
        yield Diagnostic(name, key, message, f"Name a tool that only reads as its {word}.")
    if wrong := shape_problem(theirs.input_schema, SHAPES[key]):
        call = ", ".join(SHAPES[key])
        message = f"The {word} of “{name}” is “{helper}”, which can't be asked that: {wrong}."
        yield Diagnostic(name, key, message, f"It is called with {call}; see docs/tool-servers.md.")


def _ahead(tool: Mapping[str, Any], served: ServedTools) -> Iterator[Diagnostic]:
    """Whether a preview that is said to look ahead takes what it is asked then."""
    theirs = served.tools.get(tool.get("preview", ""))
    if not tool.get("preview_then") or theirs is None:
        return
    if not takes_plan(theirs.input_schema) or shape_problem(
        theirs.input_schema, SHAPES["preview_then"]
    ):
        name, helper = tool["name"], tool["preview"]
        message = f"The preview of “{name}” is “{helper}”, which can't look ahead: no list “then”."
        fix = "Have it take “then” (docs/tool-servers.md), or leave preview_then out."
        yield Diagnostic(name, "preview_then", message, fix)


def takes_plan(schema: Mapping[str, Any]) -> bool:
    """Whether a preview with this input schema says that it can be asked for a plan."""
    known = schema.get("properties")
    return isinstance(known, Mapping) and "then" in known


def shape_problem(schema: Mapping[str, Any], call: Mapping[str, str]) -> str:
    """Why a tool with this input schema can't be called with these arguments; empty if it can."""
    known = schema.get("properties")
    known = known if isinstance(known, Mapping) else {}
    for name, kind in call.items():
        entry = known.get(name)
        if entry is None and (known or schema.get("additionalProperties") is False):
            return f"it takes no “{name}”"
        kinds = types_of(entry) if isinstance(entry, Mapping) else set()
        if kinds and kind not in kinds:
            return f"its “{name}” is {' or '.join(sorted(kinds))}, not {kind}"
    extra = sorted(names(schema, "required") - set(call))
    return f"it requires “{extra[0]}”, which it isn't given" if extra else ""
