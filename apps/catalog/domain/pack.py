"""The table of contents of a pack (``pack.yaml``) and its policy files, read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.contract_schema import SLUG, choice, group, list_of
from apps.catalog.domain.entries import AGENT, TOOL, prompt_problems, tool_checks
from apps.catalog.domain.replaying import REPLAY, tool_problems
from apps.catalog.domain.structure import read_problems
from apps.kernel.documents import Document, Path, Problem, load

_TEXT = {"type": "string", "minLength": 1, "maxLength": 400}
_FILE = {"type": "string", "minLength": 1, "maxLength": 200}
_MOST = {"maxItems": 5000}
_FILES = {**list_of(_FILE), **_MOST}

_SERVER = group(
    {"slug": SLUG, "protocol": choice("mcp"), "url": {"type": "string", "maxLength": 300}}, "slug"
)
PACK: dict[str, Any] = group(
    {
        "domain": group({"slug": SLUG, "name": {**_TEXT, "maxLength": 120}}, "slug", "name"),
        "server": _SERVER,
        "tools": list_of(TOOL),
        "tool_files": _FILES,
        "server_files": _FILES,
        "model_files": _FILES,
        "prompts": {**list_of(group({"slug": SLUG, "file": _FILE}, "slug", "file")), **_MOST},
        "agents": list_of(AGENT),
        "agent_files": _FILES,
        "policies": _FILES,
        "jobs": _FILES,
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
    tool_files: tuple[FileEntry, ...]
    server_files: tuple[FileEntry, ...]
    model_files: tuple[FileEntry, ...]
    agent_files: tuple[FileEntry, ...]
    prompts: tuple[FileEntry, ...]
    policies: tuple[FileEntry, ...]
    jobs: tuple[FileEntry, ...]
    replay: dict[str, Any]
    source: Document


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
        tool_files=_files(value, "tool_files"),
        server_files=_files(value, "server_files"),
        model_files=_files(value, "model_files"),
        agent_files=_files(value, "agent_files"),
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
        out += unknown_prompt(source, ("agents", i), agent, prompts)
    for i, tool in enumerate(value["tools"]):
        out += tool_checks(source, ("tools", i), tool)
    if value.get("tool_files"):  # whose names aren't known yet
        return out
    return out + tool_problems(source, [t["name"] for t in value["tools"]])


def unknown_prompt(
    source: Document, path: Path, agent: dict[str, Any], prompts: list[str]
) -> list[Problem]:
    """Whether an agent names a prompt that its pack doesn't list."""
    told = {"place": "pack", "add": "List it under “prompts”."}
    return prompt_problems(source, path, agent, prompts, **told)


def _duplicates(source: Document, key: str, field: str) -> list[Problem]:
    seen: set[str] = set()
    out = []
    for i, entry in enumerate(source.value.get(key) or ()):
        if entry[field] in seen:
            message = f"“{entry[field]}” is listed twice."
            out.append(source.problem((key, i, field), message, "Keep one entry."))
        seen.add(entry[field])
    return out


POLICY: dict[str, Any] = group(
    {
        "policy": SLUG,
        "name": {**_TEXT, "maxLength": 120},
        "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
        "may_go_without_facts": {"type": "object", "additionalProperties": _TEXT},
        "invariants": {"type": "array", "items": {"type": "object"}},
        "tests": {"type": "array", "items": {"type": "object"}},
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
