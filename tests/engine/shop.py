"""A small shop in the tiny retail world: a pack on disk, permissive on purpose, so that these tests
are about the engine and not about the desk's policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

POLICY = """\
@id("tools-of-the-contract") @reason("The contract lists this tool")
@purpose("Agents use only what their contract names")
permit(principal, action, resource) when { resource.listed };

@id("returns-need-a-person")
@require_approval("operator") @votes("1") @risk("2")
@reason("A return is looked at by a person")
@purpose("Shows holding")
forbid(principal, action == Action::"return_delivered_order_items", resource)
  unless { context.approvals.contains("operator") };
"""

TOOLS = {
    "get_order_details": "read",
    "get_user_details": "read",
    "modify_user_address": "write",
    "cancel_pending_order": "irreversible",
    "return_delivered_order_items": "irreversible",
}

CONTRACT: dict[str, Any] = {
    "job": "retail-shop",
    "name": "Shop work",
    "owner": "Ida Holm",
    "purpose": "Addresses are changed and orders cancelled.",
    "input": {"type": "object"},
    "output": {"type": "object"},
    "outcome": {"success": "resolved", "when_any_of": ["modify_user_address"], "target": 0.9},
    "agent": {"slug": "retail-reference", "fallbacks": []},
    "tools": [
        {
            "name": n,
            "timeout_s": 3,
            "retry": {"attempts": 4, "base_s": 0.05, "cap_s": 0.5},
            "concurrency": 2 if n == "cancel_pending_order" else 16,
        }
        for n in TOOLS
    ],
    "limits": {"deadline_s": 3600, "steps": 60, "tokens": 100000, "cost_usd": 1.0},
    "slo": {"latency_p95_s": 60, "latency_budget_s": 120},
    "decisions": {
        "policy": "retail",
        "votes": 1,
        "window_s": 600,
        "on_timeout": "reject",
        "undo_s": 0,
    },
    "data": {"classification": "internal"},
    "lane": "normal",
    "priority": 50,
    "criticality": "normal",
    "signals": {},
    "failure_modes": [{"name": "n", "sign": "s", "response": "r"}],
    "runbook": "Look at the run.",
}


def write_shop(directory: Path, *, unkeyed: bool = False) -> Path:
    """Write the pack and return its folder. ``unkeyed``: its mutations take no key."""
    pack = directory / "retail"
    for folder in ("jobs", "policies", "prompts"):
        (pack / folder).mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.dump(
        {
            "domain": {"slug": "retail", "name": "Shop"},
            "server": {"slug": "retail", "protocol": "mcp"},
            "tools": [_tool(n, e, unkeyed=unkeyed) for n, e in TOOLS.items()],
            "prompts": [{"slug": "retail-agent", "file": "prompts/agent.md"}],
            "agents": [
                {"slug": "retail-reference", "name": "Reference", "kind": "reference"},
                {"slug": "retail-recorded", "name": "Recorded", "kind": "recorded"},
                {
                    "slug": "retail-model",
                    "name": "Live model",
                    "kind": "model",
                    "prompt": "retail-agent",
                },
            ],
            "policies": ["policies/retail.yaml"],
            "jobs": ["jobs/shop.yaml"],
        },
        pack / "pack.yaml",
    )
    policy = {"policy": "retail", "name": "Shop", "limits": {"amount_cents": 1}}
    yaml.dump(
        {**policy, "policies": LiteralScalarString(POLICY)}, pack / "policies" / "retail.yaml"
    )
    yaml.dump(CONTRACT, pack / "jobs" / "shop.yaml")
    (pack / "prompts" / "agent.md").write_text("You work at the desk of a shop.\n")
    return pack


def _tool(name: str, effect: str, *, unkeyed: bool) -> dict[str, Any]:
    title = name.replace("_", " ").capitalize()
    entry: dict[str, Any] = {"name": name, "title": title, "effect": effect}
    if effect != "read":
        entry["idempotency"] = "none" if unkeyed else "keyed"
        entry["sentence"] = title
        if not unkeyed:
            entry["lookup"] = "tower_lookup"
    return entry


def address(number: int, user: str = "ada_byron_1") -> dict[str, Any]:
    """Arguments that move the customer to a numbered street."""
    return {
        "user_id": user,
        "address1": f"{number} Road",
        "address2": "",
        "city": "London",
        "state": "NY",
        "country": "UK",
        "zip": "10001",
    }


def call(tool: str, ref: int, **arguments: Any) -> dict[str, Any]:
    """A script item."""
    return {"call": {"tool": tool, "args": arguments, "ref": str(ref)}}


def busy_script(moves: int) -> list[dict[str, Any]]:
    """Look, move house, look, move house again …"""
    items: list[dict[str, Any]] = [{"hear": "I keep moving."}]
    for n in range(moves):
        items.append(call("get_user_details", 2 * n, user_id="ada_byron_1"))
        items.append(call("modify_user_address", 2 * n + 1, **address(n)))
    return [*items, {"done": "moved"}]
