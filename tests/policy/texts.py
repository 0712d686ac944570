"""A small policy that holds one rule of each kind."""

from __future__ import annotations

from typing import Any

from apps.policy.domain.request import Request
from apps.policy.domain.schema import ToolDeclaration, cedar_schema

SCHEMA = cedar_schema(
    [
        ToolDeclaration("refund", "irreversible", {"amount_cents": "long", "own": "bool"}),
        ToolDeclaration("look", "read", {}),
    ]
)
RULES = """@id("listed") permit(principal, action, resource) when { resource.listed };

@id("unconfirmed") @require_approval("operator") @reason("No clear yes") @risk("2")
forbid(principal, action in [Action::"write", Action::"irreversible"], resource)
  when { !context.conversation.confirmed }
  unless { context.approvals.contains("operator") };

@id("large") @require_approval("operator") @votes("2") @risk("3")
@reason("Above the limit") @purpose("Large refunds are looked at.")
forbid(principal, action == Action::"refund", resource)
  when { context.facts has amount_cents && context.facts.amount_cents > context.limits.most_cents }
  unless { context.approvals.contains("operator") };

@id("not-own") @reason("Somebody else's")
forbid(principal, action == Action::"refund", resource)
  when { context.facts has own && !context.facts.own };
"""


def document(rules: str = RULES, *, slug: str = "toys", most_cents: int = 5_000) -> str:
    """The rules in a policy document, as a person writes it."""
    body = "\n".join(f"  {line}" if line else "" for line in rules.split("\n"))
    head = f"policy: {slug}\nname: Toys\nlimits:\n  most_cents: {most_cents}\npolicies: |\n"
    return f"{head}{body}\n"


def refund(**changes: Any) -> Request:
    """A question about a small, confirmed refund of the customer's own."""
    asked: dict[str, Any] = {
        "agent": "toy-agent",
        "agent_kind": "reference",
        "tool": "refund",
        "domain": "toys",
        "effect": "irreversible",
        "listed": True,
        "facts": {"amount_cents": 1_000, "own": True},
        "conversation": {"confirmed": True},
        "arguments": {"order_id": "#A17"},
    }
    return Request(**{**asked, **changes})
