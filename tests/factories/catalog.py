"""A small pack on disk, and rows made by applying it: the way the product makes them."""

from __future__ import annotations

import copy
from pathlib import Path
from textwrap import indent
from typing import Any

from ruamel.yaml import YAML

from apps.catalog.models import Job
from apps.catalog.services import Report, apply_packs

POLICY = """\
@id("tools-of-the-contract") @reason("The contract lists this tool")
@purpose("Agents use only what their contract names")
permit(principal, action, resource) when { resource.listed };

@id("large-refund")
@require_approval("operator") @votes("1") @risk("3")
@reason("The refund is above the desk's limit")
@purpose("Money above the limit leaves only when a person agrees")
forbid(principal, action == Action::"refund", resource)
  when {
    context.facts has amount_cents && context.facts.amount_cents > context.limits.refund_cents
  }
  unless { context.approvals.contains("operator") };
"""

PACK: dict[str, Any] = {
    "domain": {"slug": "toys", "name": "Toy shop desk"},
    "server": {"slug": "toys", "protocol": "mcp"},
    "tools": [
        {
            "name": "find_order",
            "title": "Find an order",
            "effect": "read",
            "input_schema": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        },
        {
            "name": "refund",
            "title": "Refund an order",
            "effect": "irreversible",
            "idempotency": "keyed",
            "sentence": "Refund order {order_id} of {facts.owner}",
            "resource": "{order_id}",
            "amount": "facts.amount_cents",
            "facts": {"owner": "string", "amount_cents": "long"},
            "input_schema": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        },
    ],
    "prompts": [{"slug": "toys-agent", "file": "prompts/agent.md"}],
    "agents": [
        {"slug": "toys-reference", "name": "Reference actions", "kind": "reference"},
        {"slug": "toys-model", "name": "Live model", "kind": "model", "prompt": "toys-agent"},
    ],
    "policies": ["policies/toys.yaml"],
    "jobs": ["jobs/refund.yaml"],
}

CONTRACT = """\
# What a refund promises.
job: toys-refund
name: Refund a toy
owner: Toy desk, Ida Holm
purpose: >
  A customer who sends a toy back gets the money back.
outcome:
  success: resolved
  when_any_of: [refund]
  target: 0.9
agent: {slug: toys-reference, fallbacks: []}
tools:
  - name: find_order
    timeout_s: 5
  - name: refund  # the only thing that costs money
    timeout_s: 15
    retry: {attempts: 4, base_s: 0.5, cap_s: 30}
limits: {deadline_s: 14400, steps: 40}
decisions:
  policy: toys
  votes: 2
  window_s: 3600
  escalation: [{at: 0.5, to: operators}]
  on_timeout: reject
data: {classification: confidential, redact: [email]}
criticality: high
failure_modes:
  - {name: Refunded twice, sign: two receipts, response: take one back}
runbook: |
  Ask the warehouse whether the toy came back.
"""


def policy_text(policies: str = POLICY, *, refund_cents: int = 5000) -> str:
    """The toy shop's policy document."""
    head = f"policy: toys\nname: Toy desk\nlimits:\n  refund_cents: {refund_cents}\npolicies: |\n"
    return head + indent(policies, "  ")


def write_pack(
    directory: Path,
    *,
    contract: str = CONTRACT,
    policies: str = POLICY,
    change: dict[str, Any] | None = None,
) -> Path:
    """Write the toy shop's pack below ``directory`` and return its folder; ``change`` replaces
    keys of pack.yaml."""
    pack = directory / "toys"
    for folder in ("jobs", "policies", "prompts"):
        (pack / folder).mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.dump({**copy.deepcopy(PACK), **(change or {})}, pack / "pack.yaml")
    (pack / "policies" / "toys.yaml").write_text(policy_text(policies))
    (pack / "prompts" / "agent.md").write_text("You work at the desk of a toy shop.\n")
    (pack / "jobs" / "refund.yaml").write_text(contract)
    return pack


def apply_toys(directory: Path, **options: Any) -> Report:
    """Apply the toy shop's pack."""
    return apply_packs([write_pack(directory, **options)])


def toys_job(directory: Path) -> Job:
    """The published job of the toy shop."""
    apply_toys(directory)
    return Job.objects.get(slug="toys-refund")
