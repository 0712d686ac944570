"""A telephone company in this process whose dry run does what a test says of each line: it goes
wrong, or answers what nobody expects. Its orders are the outside witness."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tests.engine.shop import CONTRACT

ORDERS: list[str] = []
ASKED: list[str] = []
HANGS = object()
DRY_RUNS: dict[str, Any] = {}  # by line: an answer, an exception to raise, or HANGS

POLICY = """\
@id("tools-of-the-contract") @reason("The contract lists this tool")
@purpose("Agents use only what their contract names")
permit(principal, action, resource) when { resource.listed };

@id("two-gigabytes")
@reason("No order is above two gigabytes")
@purpose("A hard rule, guarded as every rule has to be")
forbid(principal, action == Action::"add_data", resource)
  when { context.facts has gigabytes && context.facts.gigabytes > context.limits.gigabytes };
"""
SCHEMA = {"type": "object", "properties": {"line": {"type": "string"}, "size": {"type": "integer"}}}
CENTS = {"cents": "long"}
FACTS = {"gigabytes": "long", "owner": "string", "cents": "long", "plan": "string?"}
TOOLS: list[dict[str, Any]] = [
    {
        "name": "add_data",
        "effect": "write",
        "preview": "dry_run",
        "facts": FACTS,
        "sentence": "Add {size} GB to the line of {facts.owner}",
    },
    {"name": "rename_line", "effect": "write", "preview": "dry_run"},
    {"name": "note_order", "effect": "draft", "preview": "dry_run", "facts": CENTS},
    {"name": "find_line", "effect": "read", "facts": CENTS},
]


async def call(tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> Any:
    """What the company answers."""
    if tool != "dry_run":
        ORDERS.append(arguments["line"])
        return {"ordered": True}
    line = arguments["args"]["line"]
    ASKED.append(line)
    answer = DRY_RUNS[line]
    if answer is HANGS:
        await asyncio.sleep(60)
    if isinstance(answer, Exception):
        raise answer
    return answer


def write_pack(directory: Path, *, may_go: Mapping[str, str] | None = None) -> Path:
    """Write the company's pack and return its folder; ``may_go``: what its policy lets go without
    facts."""
    pack = directory / "telco"
    for folder in ("jobs", "policies"):
        (pack / folder).mkdir(parents=True, exist_ok=True)
    exemptions = {"may_go_without_facts": dict(may_go)} if may_go else {}
    policy = {
        "policy": "telco",
        "name": "Telephone desk",
        "limits": {"gigabytes": 2},
        **exemptions,
        "policies": LiteralScalarString(POLICY),
    }
    common = {"idempotency": "keyed", "input_schema": SCHEMA}
    contents = {
        "domain": {"slug": "telco", "name": "Telephone desk"},
        "server": {"slug": "telco", "protocol": "mcp"},
        "tools": [{**common, **tool} for tool in TOOLS],
        "agents": [{"slug": "telco-reference", "name": "Reference", "kind": "reference"}],
        "policies": ["policies/telco.yaml"],
        "jobs": ["jobs/data.yaml"],
    }
    for path, document in (
        ("pack.yaml", contents),
        ("policies/telco.yaml", policy),
        ("jobs/data.yaml", _contract()),
    ):
        yaml = YAML()
        yaml.representer.ignore_aliases = lambda _: True
        yaml.dump(document, pack / path)
    return pack


def _contract() -> dict[str, Any]:
    terms = {**deepcopy(CONTRACT["tools"][0]), "timeout_s": 1}
    return {
        **CONTRACT,
        "job": "telco-data",
        "agent": {"slug": "telco-reference", "fallbacks": []},
        "outcome": {"success": "resolved", "when_any_of": ["add_data"], "target": 0.9},
        "tools": [{**terms, "name": tool["name"]} for tool in TOOLS],
        "decisions": {**CONTRACT["decisions"], "policy": "telco"},
    }
