"""Facts under which no rule of a desk objects to a call of a tool, every declared one known."""

from __future__ import annotations

from typing import Any

from apps.policy.domain.schema import FactDeclaration
from controltower.practice import measure

GOOD = {
    "balances_cover",
    "birth_dates_fit",
    "booked_within_24h",
    "cancel_allowed",
    "certificate_amount_plausible",
    "compensation_eligible",
    "different_option",
    "extra_bags_paid_right",
    "flights_available",
    "flights_in_order",
    "gift_card_covers",
    "items_in_order",
    "new_items_available",
    "passenger_count_kept",
    "passengers_within_limit",
    "payment_covers",
    "payment_differs",
    "payment_in_profile",
    "payment_is_original",
    "payment_is_original_or_gift",
    "payment_kinds_ok",
    "payment_was_used",
    "reason_allowed",
    "route_kept",
    "route_matches",
    "route_on_record_fits",
    "same_count",
    "same_product",
    "single_payment",
}
NAMED: dict[str, Any] = {"owner": "kim_1", "cabin": "economy", "bags_after": 0}
KINDS = {"airline": "charge", "retail": "refund"}
BY_TYPE: dict[str, Any] = {"long": 1, "string": "something", "set": ["card_1"], "bool": False}


def declared(domain: str, tool: str) -> dict[str, FactDeclaration]:
    """What the pack declares of a tool's facts."""
    tools = measure._yaml(measure.PACKS / domain / "pack.yaml")["tools"]
    facts = next(t.get("facts") or {} for t in tools if t["name"] == tool)
    return {name: FactDeclaration.of(written) for name, written in facts.items()}


def clean_facts(domain: str, tool: str) -> dict[str, Any]:
    """A value for every declared fact, none of which is a reason to hold or deny."""
    found = {
        name: NAMED.get(name, name in GOOD if fact.kind == "bool" else BY_TYPE[fact.kind])
        for name, fact in declared(domain, tool).items()
    }
    if "amount_kind" in found:
        found["amount_kind"] = KINDS[domain]
    if "order_status" in found:
        found["order_status"] = "delivered" if "delivered" in tool else "pending"
    return found
