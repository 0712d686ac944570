"""The table of contents of a pack (``pack.yaml``) and its policy files, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.contract_schema import SLUG, TOOL_NAME, choice, group, list_of
from apps.catalog.domain.replaying import REPLAY, tool_problems
from apps.catalog.domain.structure import nearest, read_problems, schema_problems
from apps.kernel.documents import Document, Path, Problem, load
from apps.policy.domain.effects import EFFECTS

FACT_TYPES = tuple(kind + mark for kind in ("bool", "long", "string", "set") for mark in ("", "?"))
_TEXT = {"type": "string", "minLength": 1, "maxLength": 400}
_FILE = {"type": "string", "minLength": 1, "maxLength": 200}

_TOOL = group(
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
_SERVER = group(
    {"slug": SLUG, "protocol": choice("mcp"), "url": {"type": "string", "maxLength": 300}}, "slug"
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
_AGENT = group(
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
PACK: dict[str, Any] = group(
    {
        "domain": group({"slug": SLUG, "name": {**_TEXT, "maxLength": 120}}, "slug", "name"),
        "server": _SERVER,
        "tools": list_of(_TOOL),
        "prompts": list_of(group({"slug": SLUG, "file": _FILE}, "slug", "file")),
        "agents": list_of(_AGENT),
        "policies": list_of(_FILE),
        "jobs": list_of(_FILE),
        "replay": REPLAY,
    },
    "domain",
    "server",
    "tools",
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that ``pack.yaml`` names, and where it does."""

    file: str
    path: Path
    slug: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    domain: dict[str, str]
    server: dict[str, str]
    tools: tuple[dict[str, Any], ...]
    agents: tuple[dict[str, Any], ...]
    prompts: tuple[FileEntry, ...]
    policies: tuple[FileEntry, ...]
    jobs: tuple[FileEntry, ...]
    replay: dict[str, Any]
    source: Document

    def with_schemas(self, schemas: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], ...]:
        """The tools, each with the input schema it states or else the server's."""
        return tuple(
            {**t, "input_schema": t["input_schema"] if "input_schema" in t else schemas[t["name"]]}
            for t in self.tools
        )


def parse_pack(text: str) -> tuple[Pack | None, list[Problem]]:
    """Read ``pack.yaml``; the pack is None when anything is an error."""
    source = load(text)
    if source.value is None:
        return None, source.problems
    problems = read_problems(source, PACK)
    if not problems:
        problems = _cross_checks(source)
    if any(p.is_error for p in problems):
        return None, problems
    value = source.value
    pack = Pack(
        domain=value["domain"],
        server=value["server"],
        tools=tuple(value["tools"]),
        agents=tuple(value.get("agents") or ()),
        prompts=tuple(
            FileEntry(p["file"], ("prompts", i, "file"), p["slug"])
            for i, p in enumerate(value.get("prompts") or ())
        ),
        policies=_files(value, "policies"),
        jobs=_files(value, "jobs"),
        replay=value.get("replay") or {},
        source=source,
    )
    return pack, problems


def _files(value: dict[str, Any], key: str) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(f, (key, i)) for i, f in enumerate(value.get(key) or ()))


def _cross_checks(source: Document) -> list[Problem]:
    value = source.value
    out: list[Problem] = []
    for key, field in (("tools", "name"), ("prompts", "slug"), ("agents", "slug")):
        out += _duplicates(source, key, field)
    prompts = [p["slug"] for p in value.get("prompts") or ()]
    for i, agent in enumerate(value.get("agents") or ()):
        prompt = agent.get("prompt")
        if prompt is not None and prompt not in prompts:
            message = f"There is no prompt “{prompt}” in this pack."
            fix = nearest(prompt, prompts) or "List it under “prompts”."
            out.append(source.problem(("agents", i, "prompt"), message, fix))
    for i, tool in enumerate(value["tools"]):
        out += _tool_checks(source, ("tools", i), tool)
    return out + tool_problems(source, [t["name"] for t in value["tools"]])


def _duplicates(source: Document, key: str, field: str) -> list[Problem]:
    seen: set[str] = set()
    out = []
    for i, entry in enumerate(source.value.get(key) or ()):
        if entry[field] in seen:
            message = f"“{entry[field]}” is listed twice."
            out.append(source.problem((key, i, field), message, "Keep one entry."))
        seen.add(entry[field])
    return out


def _tool_checks(source: Document, path: Path, tool: dict[str, Any]) -> list[Problem]:
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


def _name_problems(source: Document, path: Path, name: str) -> list[Problem]:
    """Names that an address or a policy couldn't tell from something else."""
    if name in EFFECTS:
        message = f"“{name}” is the name of an effect class, which policies read as all such tools."
        return [source.problem(path, message, "Rename the tool at its server.")]
    if not name.strip(".") or name.endswith("\n"):  # which a pattern's end lets through
        message = f"“{name}” can't stand in an address."
        return [source.problem(path, message, "Rename the tool at its server.")]
    return []


def _lacks_preview(tool: dict[str, Any]) -> bool:
    """Whether a tool that changes something declares facts and nobody who could supply them."""
    return bool(tool.get("facts")) and tool["effect"] != "read" and "preview" not in tool


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def sentence_problems(
    source: Document, path: Path, tool: dict[str, Any], schema: dict[str, Any]
) -> list[Problem]:
    """Placeholders of ``sentence`` and ``resource`` that name neither an argument nor a fact."""
    known = set(schema.get("properties", {})) | {f"facts.{f}" for f in tool.get("facts") or {}}
    out = []
    for key in ("sentence", "resource"):
        for name in _PLACEHOLDER.findall(tool.get(key, "")):
            root = name if name.startswith("facts.") else name.split(".")[0].split("[")[0]
            if root not in known:
                message = f"“{{{name}}}” is neither an argument nor a fact of the tool."
                out.append(source.problem((*path, key), message, nearest(root, known)))
    return out


POLICY: dict[str, Any] = group(
    {
        "policy": SLUG,
        "name": {**_TEXT, "maxLength": 120},
        "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
        "may_go_without_facts": {"type": "object", "additionalProperties": _TEXT},
        "policies": {"type": "string", "minLength": 1},
    },
    "policy",
    "name",
    "policies",
)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    slug: str
    name: str
    source: Document


def parse_policy(text: str) -> tuple[PolicyFile | None, list[Problem]]:
    """The frame of a policy file; the Cedar text itself is judged by ``policy``."""
    source = load(text)
    if source.value is None:
        return None, source.problems
    if problems := read_problems(source, POLICY):
        return None, problems
    return PolicyFile(source.value["policy"], source.value["name"], source), []
