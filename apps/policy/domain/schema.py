"""The Cedar schema of a domain, made from what its tools declare.

Each tool is an action in the group of its effect class, with the facts it declares as optional
attributes, so that a rule about a fact that nobody supplies is refused when it is saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.policy.domain.request import CONVERSATION, RUN

EFFECTS = ("read", "draft", "write", "irreversible")
FACT_TYPES: dict[str, dict[str, Any]] = {
    "bool": {"type": "Boolean"},
    "long": {"type": "Long"},
    "string": {"type": "String"},
    "set": {"type": "Set", "element": {"type": "String"}},
}
STRINGS = {"type": "Set", "element": {"type": "String"}}


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """What a schema needs to know of a tool: name, effect class, types of its facts."""

    name: str
    effect: str
    facts: Mapping[str, str] = field(default_factory=dict)


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
    """Types of the declared facts by tool name, read back from a schema."""
    names = {json_key(kind): name for name, kind in FACT_TYPES.items()}
    found: dict[str, dict[str, str]] = {}
    for tool, action in schema[""]["actions"].items():
        if "appliesTo" in action:
            facts = action["appliesTo"]["context"]["attributes"]["facts"]["attributes"]
            found[tool] = {name: names[json_key(kind)] for name, kind in facts.items()}
    return found


def json_key(kind: Mapping[str, Any]) -> str:
    """The Cedar type's name, which tells fact types apart."""
    return str(kind["type"])


def _action(tool: ToolDeclaration) -> dict[str, Any]:
    unknown = sorted(set(tool.facts.values()) - set(FACT_TYPES))
    if unknown:
        raise ValueError(f"{tool.name}: unknown fact type {unknown[0]!r}")
    facts = {name: {**FACT_TYPES[kind], "required": False} for name, kind in tool.facts.items()}
    context = {
        "facts": {"type": "Record", "attributes": facts},
        "conversation": _record(CONVERSATION),
        "run": _record(RUN),
        "arguments": STRINGS,
        "limits": {"type": "Limits"},
        "approvals": STRINGS,
    }
    return {
        "memberOf": [{"id": tool.effect}],
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Tool"],
            "context": {"type": "Record", "attributes": context},
        },
    }


def _record(attributes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "Record",
        "attributes": {name: FACT_TYPES[kind] for name, kind in attributes.items()},
    }
