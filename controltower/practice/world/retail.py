"""The shop's system of record: what an agent may look up and change about orders and customers.

Each tool is a function of a world, a dialect and the tool's own arguments. It checks everything
before it changes anything, so a refusal leaves the world as it was, and it answers with the entity
it changed. Amounts are US dollars as floats, rounded to cents wherever a balance is stored, because
that is how the published data keeps them.
"""

from __future__ import annotations

from typing import Any

from controltower.practice.world.dialect import Dialect
from controltower.practice.world.state import Entity, Tables, copied, edit

CANCEL_REASONS = ("no longer needed", "ordered by mistake")
MUTATING = frozenset(
    {
        "cancel_pending_order",
        "exchange_delivered_order_items",
        "modify_pending_order_address",
        "modify_pending_order_items",
        "modify_pending_order_payment",
        "modify_user_address",
        "return_delivered_order_items",
    }
)


def find_user_id_by_email(world: Tables, dialect: Dialect, *, email: str) -> str:
    """Return the customer with this e-mail address, in any letter case."""
    wanted = email.lower()
    for user_id, user in world["users"].items():
        if user["email"].lower() == wanted:
            return user_id
    raise dialect.refusal("User not found")


def find_user_id_by_name_zip(
    world: Tables, dialect: Dialect, *, first_name: str, last_name: str, zip: str
) -> str:
    """Return the customer of this name, in any letter case, who lives in this zip code."""
    wanted = (first_name.lower(), last_name.lower(), zip)
    for user_id, user in world["users"].items():
        name = user["name"]
        found = (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"])
        if found == wanted:
            return user_id
    raise dialect.refusal("User not found")


def get_user_details(world: Tables, dialect: Dialect, *, user_id: str) -> Entity:
    """Return a customer's record."""
    return dialect.user(_found(world, dialect, "users", user_id))


def get_order_details(world: Tables, dialect: Dialect, *, order_id: str) -> Entity:
    """Return an order."""
    return dialect.order(_found(world, dialect, "orders", order_id))


def get_product_details(world: Tables, dialect: Dialect, *, product_id: str) -> Entity:
    """Return a product with all its variants."""
    return _found(world, dialect, "products", product_id)


def get_item_details(world: Tables, dialect: Dialect, *, item_id: str) -> Entity:
    """Return one variant of whichever product has it."""
    for product in world["products"].values():
        if item_id in product["variants"]:
            item: Entity = product["variants"][item_id]
            return item
    raise dialect.refusal("Item not found")


def list_all_product_types(world: Tables, dialect: Dialect) -> dict[str, str]:
    """Return product ids by product name, in alphabetical order."""
    products = world["products"].values()
    return dict(sorted((product["name"], product["product_id"]) for product in products))


def cancel_pending_order(world: Tables, dialect: Dialect, *, order_id: str, reason: str) -> Entity:
    """Cancel an untouched pending order and refund every payment to where it came from."""
    order = _found(world, dialect, "orders", order_id)
    if order["status"] != "pending":
        raise dialect.refusal("Non-pending order cannot be cancelled")
    if reason not in CANCEL_REASONS:
        raise dialect.refusal("Invalid reason")
    for payment in order["payment_history"]:
        _payment_method(world, dialect, order, payment["payment_method_id"])

    order = edit(world, "orders", order_id)
    refunds = [{**payment, "transaction_type": "refund"} for payment in order["payment_history"]]
    for refund in refunds:
        _credit(world, order, refund["payment_method_id"], refund["amount"])
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    order["payment_history"].extend(refunds)
    return dialect.order(order)


def modify_pending_order_address(
    world: Tables, dialect: Dialect, *, order_id: str, **address: str
) -> Entity:
    """Send a pending order somewhere else; the customer's own address stays."""
    _pending_order(world, dialect, order_id)
    order = edit(world, "orders", order_id)
    order["address"] = _address(**address)
    return dialect.order(order)


def modify_user_address(world: Tables, dialect: Dialect, *, user_id: str, **address: str) -> Entity:
    """Change a customer's own address; orders already placed keep theirs."""
    _found(world, dialect, "users", user_id)
    user = edit(world, "users", user_id)
    user["address"] = _address(**address)
    return dialect.user(user)


def modify_pending_order_payment(
    world: Tables, dialect: Dialect, *, order_id: str, payment_method_id: str
) -> Entity:
    """Move the single payment of a pending order to another method and refund the first."""
    order = _pending_order(world, dialect, order_id)
    method = _payment_method(world, dialect, order, payment_method_id)
    history = order["payment_history"]
    if len(history) != 1 or history[0]["transaction_type"] != "payment":
        raise dialect.refusal("There should be exactly one payment for a pending order")
    first, amount = history[0]["payment_method_id"], history[0]["amount"]
    if first == payment_method_id:
        raise dialect.refusal("The new payment method should be different from the current one")
    _require_balance(dialect, method, amount, "pay for the order")

    order = edit(world, "orders", order_id)
    order["payment_history"] += [
        _transaction("payment", amount, payment_method_id),
        _transaction("refund", amount, first),
    ]
    _credit(world, order, payment_method_id, -amount)
    _credit(world, order, first, amount)
    return dialect.order(order)


def modify_pending_order_items(
    world: Tables,
    dialect: Dialect,
    *,
    order_id: str,
    item_ids: list[str],
    new_item_ids: list[str],
    payment_method_id: str,
) -> Entity:
    """Swap items of a pending order for other variants, once, and settle the price difference."""
    order = _found(world, dialect, "orders", order_id)
    if order["status"] != "pending":
        raise dialect.refusal("Non-pending order cannot be modified")
    _require_items(dialect, order, item_ids, "{item_id} not found")
    if len(item_ids) != len(new_item_ids):
        raise dialect.refusal("The number of items to be exchanged should match")
    if not dialect.first and any(map(str.__eq__, item_ids, new_item_ids)):
        raise dialect.refusal("The new item id should be different from the old item id")
    variants = _variants(world, dialect, order, item_ids, new_item_ids)
    difference = _price_difference(order, item_ids, variants)
    method = _payment_method(world, dialect, order, payment_method_id)
    _require_balance(dialect, method, difference, "pay for the new item")

    order = edit(world, "orders", order_id)
    kind = "payment" if difference > 0 else "refund"
    order["payment_history"].append(_transaction(kind, abs(difference), payment_method_id))
    _credit(world, order, payment_method_id, -difference)
    _swap(dialect, order, item_ids, variants)
    order["status"] = "pending (item modified)"
    return dialect.order(order)


def exchange_delivered_order_items(
    world: Tables,
    dialect: Dialect,
    *,
    order_id: str,
    item_ids: list[str],
    new_item_ids: list[str],
    payment_method_id: str,
) -> Entity:
    """Ask for delivered items to be exchanged; nothing is charged until they come back."""
    order = _found(world, dialect, "orders", order_id)
    if order["status"] != "delivered":
        raise dialect.refusal("Non-delivered order cannot be exchanged")
    missing = "{item_id} not found" if dialect.first else "Number of {item_id} not found."
    _require_items(dialect, order, item_ids, missing)
    if len(item_ids) != len(new_item_ids):
        message = "The number of items to be exchanged should match"
        raise dialect.refusal(message if dialect.first else message + ".")
    variants = _variants(world, dialect, order, item_ids, new_item_ids)
    difference = round(_price_difference(order, item_ids, variants), 2)
    method = _payment_method(world, dialect, order, payment_method_id)
    _require_balance(dialect, method, difference, "pay for the price difference")

    order = edit(world, "orders", order_id)
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    return dialect.order(order)


def return_delivered_order_items(
    world: Tables, dialect: Dialect, *, order_id: str, item_ids: list[str], payment_method_id: str
) -> Entity:
    """Ask for delivered items to be returned, refunded to the original method or a gift card."""
    order = _found(world, dialect, "orders", order_id)
    if order["status"] != "delivered":
        raise dialect.refusal("Non-delivered order cannot be returned")
    method = _payment_method(world, dialect, order, payment_method_id)
    original = order["payment_history"][0]["payment_method_id"]
    if method["source"] != "gift_card" and payment_method_id != original:
        message = "Payment method should be the original payment method"
        also = "Payment method should be either the original payment method or a gift card"
        raise dialect.refusal(also if dialect.first else message)
    _require_items(dialect, order, item_ids, "Some item not found")

    order = edit(world, "orders", order_id)
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    return dialect.order(order)


def _found(world: Tables, dialect: Dialect, table: str, key: str) -> Entity:
    if key not in world[table]:
        raise dialect.refusal(f"{table[:-1].capitalize()} not found")
    return world[table][key]


def _pending_order(world: Tables, dialect: Dialect, order_id: str) -> Entity:
    """Find an order whose items may already have been modified, unless the rules are the old."""
    order = _found(world, dialect, "orders", order_id)
    pending = order["status"] == "pending" if dialect.first else "pending" in order["status"]
    if not pending:
        raise dialect.refusal("Non-pending order cannot be modified")
    return order


def _payment_method(world: Tables, dialect: Dialect, order: Entity, method_id: str) -> Entity:
    methods = _found(world, dialect, "users", order["user_id"])["payment_methods"]
    if method_id not in methods:
        raise dialect.refusal("Payment method not found")
    method: Entity = methods[method_id]
    return method


def _require_balance(dialect: Dialect, method: Entity, amount: float, purpose: str) -> None:
    if method["source"] == "gift_card" and method["balance"] < amount:
        raise dialect.refusal(f"Insufficient gift card balance to {purpose}")


def _credit(world: Tables, order: Entity, method_id: str, amount: float) -> None:
    """Put money on a gift card at once; other methods are settled outside this system."""
    methods = world["users"][order["user_id"]]["payment_methods"]
    if methods[method_id]["source"] == "gift_card":
        card = edit(world, "users", order["user_id"])["payment_methods"][method_id]
        card["balance"] = round(card["balance"] + amount, 2)


def _require_items(dialect: Dialect, order: Entity, item_ids: list[str], message: str) -> None:
    held = [item["item_id"] for item in order["items"]]
    for item_id in item_ids:
        if item_ids.count(item_id) > held.count(item_id):
            raise dialect.refusal(message.format(item_id=item_id))


def _item(order: Entity, item_id: str) -> Entity:
    return next(item for item in order["items"] if item["item_id"] == item_id)


def _variants(
    world: Tables, dialect: Dialect, order: Entity, item_ids: list[str], new_item_ids: list[str]
) -> list[Entity]:
    """Find each new item among the variants of the product it is to replace."""
    found: list[Entity] = []
    for item_id, new_item_id in zip(item_ids, new_item_ids, strict=True):
        variants = world["products"][_item(order, item_id)["product_id"]]["variants"]
        variant = variants.get(new_item_id)
        if variant is None and not dialect.first:
            raise dialect.refusal("Variant not found")
        if variant is None or not variant["available"]:
            raise dialect.refusal(f"New item {new_item_id} not found or available")
        found.append(variant)
    return found


def _price_difference(order: Entity, item_ids: list[str], variants: list[Entity]) -> float:
    difference = 0.0
    for item_id, variant in zip(item_ids, variants, strict=True):
        difference += variant["price"] - _item(order, item_id)["price"]
    return difference


def _swap(dialect: Dialect, order: Entity, item_ids: list[str], variants: list[Entity]) -> None:
    """Replace items in place.

    The newer benchmark gives every swapped item the price and options of the last one; recordings
    depend on it, so its dialect does the same.
    """
    for item_id, variant in zip(item_ids, variants, strict=True):
        item = _item(order, item_id)
        shown = variant if dialect.first else variants[-1]
        item["item_id"] = variant["item_id"]
        item["price"] = shown["price"]
        item["options"] = copied(shown["options"])


def _transaction(kind: str, amount: float, method_id: str) -> Entity:
    return {"transaction_type": kind, "amount": amount, "payment_method_id": method_id}


def _address(
    *, address1: str, address2: str, city: str, state: str, country: str, zip: str
) -> dict[str, Any]:
    return {
        "address1": address1,
        "address2": address2,
        "city": city,
        "country": country,
        "state": state,
        "zip": zip,
    }
