"""The tools' exact interface: names and JSON Schemas, for machines without the published file.

The wording of the parameters is part of the published interface that agents were recorded with
(tau-bench and tau2-bench, MIT, Sierra) and is kept to the letter; a test compares it with the
published file. Descriptions of whole tools are this code's own.
"""

from __future__ import annotations

from typing import Any

from controltower.practice.world.companies import COMPANIES
from controltower.practice.world.schemas_airline import AIRLINE
from controltower.practice.world.schemas_retail import RETAIL

Schema = dict[str, Any]
PARAMETERS: dict[str, dict[str, dict[str, Schema]]] = {"retail": RETAIL, "airline": AIRLINE}
SHARED: dict[str, dict[str, Schema]] = {
    "calculate": {
        "expression": {
            "type": "string",
            "description": (
                "The mathematical expression to calculate, such as '2 + 2'. The expression can "
                "contain numbers, operators (+, -, *, /), parentheses, and spaces."
            ),
        }
    },
    "think": {"thought": {"type": "string", "description": "A thought to think about."}},
    "transfer_to_human_agents": {
        "summary": {"type": "string", "description": "A summary of the user's issue."}
    },
}
GENERIC = ("calculate", "transfer_to_human_agents")


def parameters(domain: str, tool: str) -> Schema:
    """Return the JSON Schema of a tool's arguments; raises ``KeyError`` for an unknown tool."""
    properties = SHARED[tool] if tool in SHARED else PARAMETERS[domain][tool]
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return schema if tool == "think" else {**schema, "additionalProperties": False}


def own_tool_schemas(domain: str) -> list[Schema]:
    """Return the definitions held in code, in the form of the published file."""
    company = COMPANIES[domain]
    return [
        {
            "name": name,
            "description": (function.__doc__ or "").split("\n\n")[0].strip(),
            "tool_type": _tool_type(name, mutates=name in company.mutating),
            "mutates": name in company.mutating,
            "discoverable": False,
            "parameters": parameters(domain, name),
        }
        for name, function in company.functions.items()
    ]


def misfit(schema: Schema, args: dict[str, Any]) -> str | None:
    """Say what is wrong with the arguments, or nothing. Objects in lists are not read."""
    properties: dict[str, Schema] = schema["properties"]
    absent = [name for name in schema["required"] if name not in args]
    if absent:
        return f"Missing argument: {', '.join(absent)}"
    unknown = [name for name in args if name not in properties]
    if unknown and not schema.get("additionalProperties", True):
        return f"Unknown argument: {', '.join(sorted(unknown))}"
    for name, part in properties.items():
        if name in args and not _fits(part, args[name]):
            return f"Argument {name} should be {_wanted(part)}"
    return None


def _fits(part: Schema, value: Any) -> bool:
    if "enum" in part:
        return value in part["enum"]
    if part["type"] == "array":
        return isinstance(value, list) and all(_fits(part["items"], item) for item in value)
    if part["type"] in ("integer", "number"):
        kinds = int if part["type"] == "integer" else int | float
        return isinstance(value, kinds) and not isinstance(value, bool)
    return part["type"] == "object" or isinstance(value, str)


def _wanted(part: Schema) -> str:
    return f"one of {', '.join(part['enum'])}" if "enum" in part else f"of type {part['type']}"


def _tool_type(name: str, *, mutates: bool) -> str:
    if name == "think":
        return "think"
    if name in GENERIC:
        return "generic"
    return "write" if mutates else "read"
