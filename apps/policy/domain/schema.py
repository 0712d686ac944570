"""The Cedar schema of a domain, made from what its tools declare.

Each tool is an action in the group of its effect class, with the facts it declares as optional
attributes, so that a rule about a fact that nobody supplies is refused when it is saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.policy.domain.effects import EFFECTS
from apps.policy.domain.request import CONVERSATION, RUN

FACT_TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "Boolean"},
    "long": {"type": "Long"},
    "string": {"type": "String"},
    "set": {"type": "Set", "element": {"type": "String"}},
}
MAY_BE_ABSENT = "?"
NOTES, OPTIONAL, PREVIEW = "annotations", "optional", "preview"  # of facts and of actions
STRINGS = {"type": "Set", "element": {"type": "String"}}


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """What a schema needs to know of a tool: name, effect class, types of its facts (``long``; a
    fact that may be absent: ``long?``), and the tool that previews it, if any."""

    name: str
    effect: str
    facts: Mapping[str, str] = field(default_factory=dict)
    preview: str = ""


@dataclass(frozen=True, slots=True)
class FactDeclaration:
    """What a tool declares of a fact: its type, and whether it may be absent."""

    kind: str
    optional: bool = False

    @classmethod
    def of(cls, written: str) -> FactDeclaration:
        """Read ``long`` or ``long?``."""
        return cls(written.removesuffix(MAY_BE_ABSENT), written.endswith(MAY_BE_ABSENT))


def cedar_schema(tools: Iterable[ToolDeclaration]) -> dict[str, Any]:
    """The schema in Cedar's JSON form. Limits come from the policy document: see ``with_limits``.
    Raises ``ValueError`` for an unknown effect class or fact type, or a tool named as a class."""
    actions: dict[str, Any] = {effect: {} for effect in EFFECTS}
    for tool in tools:
        if tool.name in EFFECTS:
            raise ValueError(f"a tool cannot be named {tool.name!r}: it names an effect class")
        if tool.effect not in EFFECTS:
            raise ValueError(f"{tool.name}: unknown effect class {tool.effect!r}")
        actions[tool.name] = _action(tool)
    return {
        "": {
            "commonTypes": {"Limits": _record({})},
            "entityTypes": {
                "Agent": {"shape": _record({"kind": "string", "model": "string"})},
                "Tool": {
                    "shape": _record(
                        {"domain": "string", "name": "string", "effect": "string", "listed": "bool"}
                    )
                },
            },
            "actions": actions,
        }
    }


def with_limits(schema: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same schema with the limits that a policy document defines."""
    space = {**schema[""]}
    space["commonTypes"] = {**space["commonTypes"], "Limits": _record(dict.fromkeys(names, "long"))}
    return {"": space}


def declared_facts(schema: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The declared facts by tool name, as they are written (``long``, ``long?``), read back from a
    schema. One made by an earlier release says of no fact that it may be absent, so all have to be
    known."""
    names = {json_key(kind): name for name, kind in FACT_TYPES.items()}
    found: dict[str, dict[str, str]] = {}
    for tool, action in schema[""]["actions"].items():
        if "appliesTo" in action:
            facts = action["appliesTo"]["context"]["attributes"]["facts"]["attributes"]
            found[tool] = {
                name: names[json_key(kind)] + MAY_BE_ABSENT * (OPTIONAL in kind.get(NOTES, ()))
                for name, kind in facts.items()
            }
    return found


def may_lack_facts(schema: Mapping[str, Any]) -> dict[str, bool]:
    """By tool name, whether anything about the tool's effect could be unknown: it changes something
    and declares facts or a preview."""
    declared = declared_facts(schema)
    found = {}
    for tool, facts in declared.items():
        action = schema[""]["actions"][tool]
        is_read = {"id": "read"} in action["memberOf"]
        found[tool] = not is_read and bool(facts or PREVIEW in action.get(NOTES, ()))
    return found


def json_key(kind: Mapping[str, Any]) -> str:
    """The Cedar type's name, which tells fact types apart."""
    return str(kind["type"])


def _action(tool: ToolDeclaration) -> dict[str, Any]:
    declared = {name: FactDeclaration.of(written) for name, written in tool.facts.items()}
    unknown = sorted({fact.kind for fact in declared.values()} - set(FACT_TYPES))
    if unknown:
        raise ValueError(f"{tool.name}: unknown fact type {unknown[0]!r}")
    facts = {name: _fact(fact) for name, fact in declared.items()}
    context = {
        "facts": {"type": "Record", "attributes": facts},
        "conversation": _record(CONVERSATION),
        "run": _record(RUN),
        "arguments": STRINGS,
        "limits": {"type": "Limits"},
        "approvals": STRINGS,
    }
    previewed = {NOTES: {PREVIEW: tool.preview}} if tool.preview else {}
    return {
        **previewed,
        "memberOf": [{"id": tool.effect}],
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Tool"],
            "context": {"type": "Record", "attributes": context},
        },
    }


def _fact(fact: FactDeclaration) -> dict[str, Any]:
    """Never ``required`` for Cedar: rules ask ``has`` first, since a fact may always be unknown."""
    optional = {NOTES: {OPTIONAL: ""}} if fact.optional else {}
    return {**FACT_TYPES[fact.kind], "required": False, **optional}


def _record(attributes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "Record",
        "attributes": {name: FACT_TYPES[kind] for name, kind in attributes.items()},
    }
