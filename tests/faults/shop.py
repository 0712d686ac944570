"""The shop of the fault tests: tools of every kind of idempotency, with and without a person."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tests.engine.shop import CONTRACT, POLICY, address, call

KEYED = "modify_user_address"
UNKEYED = "modify_pending_order_address"
LOOKED_UP = "cancel_pending_order"
APPROVED = "return_delivered_order_items"
APPROVED_UNKEYED = "exchange_delivered_order_items"
READ = "get_user_details"

TOOLS = {
    "get_order_details": ("read", "none"),
    READ: ("read", "none"),
    KEYED: ("write", "keyed"),
    UNKEYED: ("write", "none"),
    LOOKED_UP: ("irreversible", "lookup"),
    APPROVED: ("irreversible", "keyed"),
    APPROVED_UNKEYED: ("irreversible", "none"),
}
SECOND_HOLD = (
    POLICY.split("\n\n")[1]
    .replace("returns-need", "exchanges-need")
    .replace(APPROVED, APPROVED_UNKEYED)
)
# Its preview is there to be undone by; one that is late on a slow machine is nobody's question.
WITHOUT_PREVIEW = "Faults make previews fail, and these tests are about what the engine does then."
TIMEOUT_S = 2
PATIENT_S = 8  # for the one whose answers may come late
RETRY = {"attempts": 4, "base_s": 0.05, "cap_s": 0.5}
FIELDS = ("address1", "address2", "city", "state", "country", "zip")
JOBS = {"normal": "retail-shop", "urgent": "retail-urgent"}


def write_pack(directory: Path) -> Path:
    """Write the pack and return its folder. One job a lane, otherwise alike."""
    pack = directory / "retail"
    for folder in ("jobs", "policies", "prompts"):
        (pack / folder).mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    document = {
        "domain": {"slug": "retail", "name": "Shop"},
        "server": {"slug": "retail", "protocol": "mcp"},
        "tools": [_tool(n, effect, kind) for n, (effect, kind) in TOOLS.items()],
        "prompts": [{"slug": "retail-agent", "file": "prompts/agent.md"}],
        "agents": [{"slug": "retail-reference", "name": "Reference", "kind": "reference"}],
        "policies": ["policies/retail.yaml"],
        "jobs": [f"jobs/{slug}.yaml" for slug in JOBS.values()],
    }
    yaml.dump(document, pack / "pack.yaml")
    text = LiteralScalarString(f"{POLICY}\n{SECOND_HOLD}\n")
    policy = {"policy": "retail", "name": "Shop", "limits": {"amount_cents": 1}, "policies": text}
    policy["may_go_without_facts"] = {KEYED: WITHOUT_PREVIEW}
    yaml.dump(policy, pack / "policies" / "retail.yaml")
    for lane, slug in JOBS.items():
        yaml.dump(contract(slug, lane), pack / "jobs" / f"{slug}.yaml")
    (pack / "prompts" / "agent.md").write_text("You work at the desk of a shop.\n")
    return pack


def contract(slug: str, lane: str, **changes: Any) -> dict[str, Any]:
    """The terms of a job of the shop."""
    document = copy.deepcopy(CONTRACT)
    document |= {"job": slug, "name": f"Shop work, {lane}", "lane": lane}
    document["tools"] = [
        {
            "name": n,
            "timeout_s": PATIENT_S if n == UNKEYED else TIMEOUT_S,
            "retry": dict(RETRY),
            "concurrency": 16,
        }
        for n in TOOLS
    ]
    next(t for t in document["tools"] if t["name"] == KEYED)["compensation"] = {
        "tool": KEYED,
        "arguments": {"user_id": "arguments.user_id"}
        | {name: f"preview.before.users.*.address.{name}" for name in FIELDS},
    }
    document["criticality"] = {"urgent": "high", "normal": "normal"}[lane]
    document["outcome"] = {
        "success": "resolved",
        "when_any_of": [n for n, (effect, _) in TOOLS.items() if effect != "read"],
        "target": 0.9,
    }
    return document | changes


def _tool(name: str, effect: str, idempotency: str) -> dict[str, Any]:
    title = name.replace("_", " ").capitalize()
    entry: dict[str, Any] = {"name": name, "title": title, "effect": effect}
    if effect != "read":
        entry |= {"idempotency": idempotency, "sentence": title}
        if idempotency != "none":
            entry["lookup"] = "tower_lookup"
    if name == KEYED:
        entry["preview"] = "tower_preview"
    return entry


# --- scripts --------------------------------------------------------------------------------------

RETURN = {"order_id": "#D", "item_ids": ["red"], "payment_method_id": "card"}
EXCHANGE = {**RETURN, "new_item_ids": ["blue"]}
CANCEL = {"order_id": "#P", "reason": "no longer needed"}


def order_address(number: int) -> dict[str, Any]:
    """Arguments that send an order to a numbered street."""
    return {k: v for k, v in address(number).items() if k != "user_id"} | {"order_id": "#P"}


def script(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"hear": "Please."}, *calls, {"done": "done"}]


def keyed(moves: int = 1) -> list[dict[str, Any]]:
    """Look and move house, so many times."""
    items = []
    for n in range(moves):
        items.append(call(READ, 2 * n, user_id="ada_byron_1"))
        items.append(call(KEYED, 2 * n + 1, **address(n)))
    return script(*items)


def unkeyed() -> list[dict[str, Any]]:
    """One mutation that takes no key and can't be looked up."""
    return script(call(UNKEYED, 0, **order_address(1)))


def mixed(number: int) -> list[dict[str, Any]]:
    """Some of everything that needs no person."""
    return script(
        call(READ, 0, user_id="ada_byron_1"),
        call(KEYED, 1, **address(number)),
        call(UNKEYED, 2, **order_address(number)),
        call(KEYED, 3, **address(number + 1)),
    )
