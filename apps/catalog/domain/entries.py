"""One entry of the catalog as people write it: a tool or an agent, in a pack's list, in a file of
its own, or in the browser. Read strictly, and judged the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from apps.catalog.domain.contract_schema import SLUG, TOOL_NAME, choice, group, list_of
from apps.catalog.domain.structure import nearest, read_problems, schema_problems
from apps.kernel.documents import Document, Path, Problem, load
from apps.kernel.exactjson import is_number
from apps.policy.domain.effects import EFFECTS
from apps.policy.domain.schema import ToolDeclaration, cedar_schema

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")  # in a tool's ``sentence`` and ``resource``
FACT_TYPES = tuple(kind + mark for kind in ("bool", "long", "string", "set") for mark in ("", "?"))
_TEXT = {"type": "string", "minLength": 1, "maxLength": 400}
TOOL: dict[str, Any] = group(
    {
        "name": TOOL_NAME,
        "title": _TEXT,
        "effect": choice(*EFFECTS),
        "idempotency": choice("keyed", "lookup", "none"),
        "preview": TOOL_NAME,
        "preview_then": {"type": "boolean"},
        "lookup": TOOL_NAME,
        "sentence": _TEXT,
        "resource": _TEXT,
        "amount": _TEXT,
        "facts": {"type": "object", "additionalProperties": choice(*FACT_TYPES)},
        "input_schema": {"type": "object"},
    },
    "name",
    "effect",
)
# How a live model is asked; the provider's own default for what is left out.
_SETTINGS = group(
    {
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
        "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
    }
)
MODEL_SETTINGS = frozenset(_SETTINGS["properties"])
AGENT: dict[str, Any] = group(
    {
        "slug": SLUG,
        "name": {**_TEXT, "maxLength": 120},
        "kind": choice("reference", "recorded", "model"),
        "prompt": SLUG,
        "model": _TEXT,
        "fallback_models": list_of(_TEXT),
        "settings": _SETTINGS,
    },
    "slug",
    "name",
    "kind",
)


def read_entry_text(text: str, shape: Mapping[str, Any]) -> tuple[Document, list[Problem]]:
    """A text with one entry, and all that its structure gets wrong. Numbers keep every digit."""
    source = load(text, exact=True)
    if source.value is None:  # which null itself is, too
        return source, source.problems or [Problem("There is nothing in the text.", "Write one.")]
    return source, read_problems(source, dict(shape))


def parse_tool(text: str, *, name: str) -> tuple[dict[str, Any] | None, Document, list[Problem]]:
    """A tool's entry with its defaults; None where anything is an error."""
    source, problems = read_entry_text(text, TOOL)
    if not problems:
        problems = named(source, "name", name)
    if not problems:
        problems = tool_checks(source, (), source.value)
        if "input_schema" not in source.value:
            message = "The tool has no input_schema: nobody could tell which arguments fit."
            fix = "Write “input_schema: {type: object}”, or the server's."
            problems.append(source.problem((), message, fix))
        else:
            problems += sentence_problems(source, (), source.value, source.value["input_schema"])
    if any(p.is_error for p in problems):
        return None, source, problems
    return tool_entry(source.value), source, problems


def policy_schema(tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The Cedar schema of a domain's tools: actions in effect groups, declared facts."""
    return cedar_schema(
        ToolDeclaration(t["name"], t["effect"], t.get("facts") or {}, t.get("preview", ""))
        for t in tools
    )


def tool_entry(stated: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's entry with its defaults."""
    return {"idempotency": "none", **stated}


def parse_agent(
    text: str, *, slug: str, prompts: Iterable[str]
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """An agent's entry; None where anything is an error. ``prompts`` are those it may be told."""
    source, problems = read_entry_text(text, AGENT)
    if not problems:
        problems = named(source, "slug", slug)
    if not problems:
        problems = prompt_problems(source, (), source.value, list(prompts))
    return (None if problems else source.value), problems


def prompt_problems(
    source: Document,
    path: Path,
    agent: Mapping[str, Any],
    prompts: list[str],
    *,
    place: str = "domain",
    add: str = "Publish the prompt first, or leave it out.",
) -> list[Problem]:
    """Whether the prompt that an agent names is there."""
    prompt = agent.get("prompt")
    if prompt is None or prompt in prompts:
        return []
    message = f"There is no prompt “{prompt}” in this {place}."
    fix = nearest(prompt, prompts) or add
    return [source.problem((*path, "prompt"), message, fix)]


def named(source: Document, key: str, name: str) -> list[Problem]:
    """A name never changes: runs, contracts and packs know the thing by it."""
    if source.value[key] == name:
        return []
    message = f"The text is about “{source.value[key]}”, not “{name}”."
    return [source.problem((key,), message, f"Write “{key}: {name}”.")]


def agent_entry(slug: str, name: str, kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's version as its entry: what a pack states of it."""
    kept = ("prompt", "model", "fallback_models", "settings")
    stated = {key: document[key] for key in kept if document.get(key)}
    return {"slug": slug, "name": name, "kind": kind, **stated}


def tool_checks(source: Document, path: Path, tool: dict[str, Any]) -> list[Problem]:
    stated = tool.get("input_schema")
    out = schema_problems(source, (*path, "input_schema"), stated, of_object=True)
    out += _name_problems(source, (*path, "name"), tool["name"])
    if tool.get("idempotency") == "lookup" and "lookup" not in tool:
        message = "“idempotency: lookup” needs a lookup tool."
        out.append(source.problem((*path, "idempotency"), message, "Add “lookup: <tool name>”."))
    amount = tool.get("amount", "")
    fact = amount.removeprefix("facts.")
    facts = tool.get("facts") or {}
    if amount.startswith("facts.") and fact not in facts:
        fix = nearest(fact, facts) or f"Add “{fact}: long” to the facts."
        message = f"“{fact}” is not one of the tool's facts."
        out.append(source.problem((*path, "amount"), message, fix))
    if tool.get("preview_then") and "preview" not in tool:
        message = "“preview_then” needs a preview tool."
        fix = "Add “preview: <tool name>”, or leave preview_then out."
        out.append(source.problem((*path, "preview_then"), message, fix))
    if _lacks_preview(tool):
        message = (
            f"“{tool['name']}” declares facts and no preview, so nobody can supply them:"
            " each of its changes will be held for a person."
        )
        fix = "Add “preview: <tool name>”, or take the facts out."
        out.append(source.problem((*path, "facts"), message, fix, severity="warning"))
    return out


def name_problem(name: str) -> str:
    """Why an address or a policy couldn't tell a name from something else; empty if it could."""
    if name in EFFECTS:
        return f"“{name}” is the name of an effect class, which policies read as all such tools."
    if not name.strip(".") or name.endswith("\n"):  # which a pattern's end lets through
        return f"“{name}” can't stand in an address."
    return ""


def _name_problems(source: Document, path: Path, name: str) -> list[Problem]:
    message = name_problem(name)
    fix = "Rename the tool at its server."
    return [source.problem(path, message, fix)] if message else []


def _lacks_preview(tool: dict[str, Any]) -> bool:
    """Whether a tool that changes something declares facts and nobody who could supply them."""
    return bool(tool.get("facts")) and tool["effect"] != "read" and "preview" not in tool


def sentence_problems(
    source: Document, path: Path, tool: dict[str, Any], schema: dict[str, Any]
) -> list[Problem]:
    """Placeholders of ``sentence`` and ``resource`` that name neither an argument nor a fact."""
    known = set(schema.get("properties", {})) | {f"facts.{f}" for f in tool.get("facts") or {}}
    out = []
    for key in ("sentence", "resource"):
        for name in PLACEHOLDER.findall(tool.get(key, "")):
            root = name if name.startswith("facts.") else name.split(".")[0].split("[")[0]
            if root not in known:
                message = f"“{{{name}}}” is neither an argument nor a fact of the tool."
                out.append(source.problem((*path, key), message, nearest(root, known)))
    return out


def agent_settings(agent: Mapping[str, Any]) -> dict[str, Any]:
    """How an agent's model is to be asked. Of a version from before they were checked, what is no
    setting is left out."""
    stated = agent.get("settings")
    found = stated.items() if isinstance(stated, Mapping) else ()
    return {name: value for name, value in found if name in MODEL_SETTINGS and is_number(value)}


def told_of_tool(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is told of a tool beside its name."""
    return {
        "description": document.get("description") or document.get("title", ""),
        "schema": document.get("input_schema") or {"type": "object"},
    }
