"""Facts about a call to the shop: whose order it is, in what state, and what money moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from controltower.practice.world.facts.values import (
    Args,
    FactValue,
    cents,
    entity,
    full_name,
    known,
    money,
    settlement,
    stake,
    text,
    texts,
    would_refuse,
)
from controltower.practice.world.retail import CANCEL_REASONS, MUTATING
from controltower.practice.world.state import Entity, Tables

Found = dict[str, FactValue | None]
ADDRESS_FIELDS = ("address1", "address2", "city", "state", "country", "zip")


def facts(world: Mapping[str, Any], tool: str, args: Mapping[str, Any]) -> dict[str, FactValue]:
    """Return what the system of record knows about this call before it is made."""
    if tool not in MUTATING:
        return {}
    found = _FACTS[tool](world, args)
    return known({"would_refuse": would_refuse("retail", world, tool, args), **found})


def _cancel(world: Tables, args: Args) -> Found:
    order = entity(world, "orders", text(args, "order_id"))
    found = _order(world, order)
    found["reason_allowed"] = text(args, "reason") in CANCEL_REASONS
    if order is None:
        return found
    paid = _paid(order)
    sources = sorted({_source(world, order, method) for method in _methods_used(order)})
    return {
        **found,
        **stake(paid, "refund"),
        "refund_to": " and ".join(source.replace("_", " ") for source in sources),
    }


def _return(world: Tables, args: Args) -> Found:
    order = entity(world, "orders", text(args, "order_id"))
    method = text(args, "payment_method_id")
    found = {**_order(world, order), **_method(world, order, method)}
    if order is None:
        return found
    found |= _chosen(order, texts(args, "item_ids"))
    is_original = method is not None and method in _methods_used(order)[:1]
    found["payment_is_original"] = is_original
    found["payment_is_original_or_gift"] = found["payment_kind"] == "gift_card" or is_original
    items = _items(order, texts(args, "item_ids"))
    if items is not None:
        found |= stake(_sum(items), "refund")
        found["items"] = ", ".join(_label(item) for item in items)
    return found


def _swap(world: Tables, args: Args) -> Found:
    """Exchange delivered items, or modify those of a pending order: the same questions."""
    order = entity(world, "orders", text(args, "order_id"))
    method = text(args, "payment_method_id")
    found = {**_order(world, order), **_method(world, order, method)}
    wanted = texts(args, "new_item_ids")
    if order is None or wanted is None:
        return found
    item_ids = texts(args, "item_ids")
    found |= _chosen(order, item_ids)
    if item_ids is not None:
        found["same_count"] = len(item_ids) == len(wanted)
    items = _items(order, item_ids)
    if items is None or len(items) != len(wanted):
        return found
    variants = [_variant(world, item, new) for item, new in zip(items, wanted, strict=True)]
    found["same_product"] = None not in variants
    found["new_items_available"] = all(v is not None and bool(v["available"]) for v in variants)
    found["different_option"] = all(
        item["item_id"] != new for item, new in zip(items, wanted, strict=True)
    )
    paired = [(item, v) for item, v in zip(items, variants, strict=True) if v is not None]
    found["items"] = ", ".join(f"{_label(item)} → {_options(v)}" for item, v in paired)
    if len(paired) == len(items):
        difference = _sum([v for _, v in paired]) - _sum(items)
        found |= settlement(difference, method)
        found["gift_card_covers"] = _covers(world, order, method, difference)
    return found


def _payment(world: Tables, args: Args) -> Found:
    order = entity(world, "orders", text(args, "order_id"))
    method = text(args, "payment_method_id")
    found = {**_order(world, order), **_method(world, order, method)}
    if order is None:
        return found
    paid = _paid(order)
    used = _methods_used(order)
    found["payment_differs"] = method not in used
    found["single_payment"] = len(order["payment_history"]) == 1
    found["gift_card_covers"] = _covers(world, order, method, paid)
    return {**found, **stake(paid, "charge")}


def _order_address(world: Tables, args: Args) -> Found:
    order = entity(world, "orders", text(args, "order_id"))
    found = {**_order(world, order), "is_default_address_change": False, **_address_text(args)}
    if order is None:
        return found
    user = entity(world, "users", order["user_id"])
    found |= _address_change(order.get("address"), args)
    if user is not None:
        found["is_customers_own_address"] = _same_address(user.get("address"), args)
    return found


def _user_address(world: Tables, args: Args) -> Found:
    user = entity(world, "users", text(args, "user_id"))
    found: Found = {"is_default_address_change": True, **_address_text(args)}
    if user is None:
        return found
    orders = [entity(world, "orders", order_id) for order_id in user.get("orders", ())]
    statuses = Counter(_status(order) for order in orders if order is not None)
    return {
        **found,
        **_address_change(user.get("address"), args),
        "owner": user.get("user_id"),
        "owner_name": full_name(user.get("name")),
        "pending_orders": statuses["pending"] + statuses["pending (item modified)"],
        **stake(0, "none"),
    }


_FACTS: dict[str, Callable[[Tables, Args], Found]] = {
    "cancel_pending_order": _cancel,
    "exchange_delivered_order_items": _swap,
    "modify_pending_order_address": _order_address,
    "modify_pending_order_items": _swap,
    "modify_pending_order_payment": _payment,
    "modify_user_address": _user_address,
    "return_delivered_order_items": _return,
}


def _order(world: Tables, order: Entity | None) -> Found:
    """What is asked about every order, whatever is to be done to it."""
    if order is None:
        return {}
    user = entity(world, "users", order["user_id"])
    status = _status(order)
    return {
        "owner": order["user_id"],
        "owner_name": full_name(user.get("name")) if user else None,
        "order_status": status,
        "order_total_cents": _paid(order),
        "order_total": money(_paid(order)),
        "order_items": len(order["items"]),
        "already_modified": "modified" in status,
        "payment_methods_used": sorted(set(_methods_used(order))),
        **stake(0, "none"),
    }


def _method(world: Tables, order: Entity | None, method: str | None) -> Found:
    if order is None:
        return {}
    methods = _methods(world, order)
    return {
        "payment_in_profile": method in methods,
        "payment_kind": str(methods[method]["source"]) if method in methods else None,
    }


def _chosen(order: Entity, item_ids: list[str] | None) -> Found:
    if item_ids is None:
        return {}
    held = Counter(item["item_id"] for item in order["items"])
    chosen = Counter(item_ids)
    return {
        "item_count": len(item_ids),
        "items_in_order": bool(item_ids) and chosen <= held,
        "whole_order": chosen == held,
    }


def _items(order: Entity, item_ids: list[str] | None) -> list[Entity] | None:
    """The order's items of these ids; ``None`` unless it has them all."""
    by_id = {item["item_id"]: item for item in order["items"]}
    if not item_ids or not all(item_id in by_id for item_id in item_ids):
        return None
    return [by_id[item_id] for item_id in item_ids]


def _variant(world: Tables, item: Entity, new_item_id: str) -> Entity | None:
    product = entity(world, "products", item["product_id"])
    variant: Entity | None = product["variants"].get(new_item_id) if product else None
    return variant


def _address_change(now: Any, args: Args) -> Found:
    before = now if isinstance(now, Mapping) else {}
    return {
        "address_changes": not _same_address(now, args),
        "country_changes": before.get("country") != args.get("country"),
        "state_changes": before.get("state") != args.get("state"),
    }


def _address_text(args: Args) -> Found:
    parts = [args.get(name) for name in ADDRESS_FIELDS]
    said = ", ".join(str(part) for part in parts if isinstance(part, str) and part)
    return {"address": said or None}


def _same_address(now: Any, args: Args) -> bool:
    before = now if isinstance(now, Mapping) else {}
    return all(before.get(name) == args.get(name) for name in ADDRESS_FIELDS)


def _covers(world: Tables, order: Entity, method: str | None, due: int) -> bool | None:
    """Whether a gift card has the money; other methods are not asked."""
    found = _methods(world, order).get(method or "")
    if found is None:
        return None
    balance = cents(found.get("balance")) if found["source"] == "gift_card" else None
    return balance is None or balance >= due


def _methods(world: Tables, order: Entity) -> dict[str, Entity]:
    user = entity(world, "users", order["user_id"])
    return dict(user["payment_methods"]) if user else {}


def _methods_used(order: Entity) -> list[str]:
    """The methods the order was paid with, first payment first."""
    return [
        str(entry["payment_method_id"])
        for entry in order["payment_history"]
        if entry["transaction_type"] == "payment"
    ]


def _source(world: Tables, order: Entity, method: str) -> str:
    return str(_methods(world, order).get(method, {}).get("source", "unknown method"))


def _paid(order: Entity) -> int:
    """What the customer has paid for the order so far, refunds taken off."""
    signed = [
        (cents(entry["amount"]) or 0) * (-1 if entry["transaction_type"] == "refund" else 1)
        for entry in order["payment_history"]
    ]
    return sum(signed)


def _sum(priced: list[Entity]) -> int:
    return sum(cents(entry["price"]) or 0 for entry in priced)


def _status(order: Entity) -> str:
    return str(order.get("status", "unknown"))


def _label(item: Entity) -> str:
    return f"{item.get('name', item['item_id'])} ({_options(item)})"


def _options(entry: Entity) -> str:
    chosen = ", ".join(str(value) for value in entry.get("options", {}).values())
    return f"{chosen} at {money(cents(entry['price']) or 0)}"
