"""Arguments of the shop's tools, to the letter of the published interface (MIT, Sierra)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _item_ids(purpose: str) -> Schema:
    return {
        "type": "array",
        "items": {"type": "string"},
        "description": (
            f"The item ids to be {purpose}, each such as '1008292230'. "
            "There could be duplicate items in the list."
        ),
    }


def _new_item_ids(purpose: str) -> Schema:
    schema = _item_ids(f"{purpose} for")
    schema["description"] += (
        " Each new item id should match the item id in the same position "
        "and be of the same product."
    )
    return schema


ORDER_ID = _text(
    "The order id, such as '#W0000000'. "
    "Be careful there is a '#' symbol at the beginning of the order id."
)
USER_ID = _text("The user id, such as 'sara_doe_496'.")
PAYMENT_METHOD_ID = _text(
    "The payment method id to pay or receive refund for the item price difference, such as "
    "'gift_card_0000000' or 'credit_card_0000000'. "
    "These can be looked up from the user or order details."
)
ADDRESS = {
    "address1": _text("The first line of the address, such as '123 Main St'."),
    "address2": _text("The second line of the address, such as 'Apt 1' or ''."),
    "city": _text("The city, such as 'San Francisco'."),
    "state": _text("The state, such as 'CA'."),
    "country": _text("The country, such as 'USA'."),
    "zip": _text("The zip code, such as '12345'."),
}
REASON = {
    "type": "string",
    "enum": ["no longer needed", "ordered by mistake"],
    "description": (
        "The reason for cancellation, which should be either "
        "'no longer needed' or 'ordered by mistake'."
    ),
}

RETAIL: dict[str, dict[str, Schema]] = {
    "cancel_pending_order": {"order_id": ORDER_ID, "reason": REASON},
    "exchange_delivered_order_items": {
        "order_id": ORDER_ID,
        "item_ids": _item_ids("exchanged"),
        "new_item_ids": _new_item_ids("exchanged"),
        "payment_method_id": PAYMENT_METHOD_ID,
    },
    "modify_pending_order_address": {"order_id": ORDER_ID, **ADDRESS},
    "modify_pending_order_items": {
        "order_id": ORDER_ID,
        "item_ids": _item_ids("modified"),
        "new_item_ids": _new_item_ids("modified"),
        "payment_method_id": PAYMENT_METHOD_ID,
    },
    "modify_pending_order_payment": {
        "order_id": ORDER_ID,
        "payment_method_id": PAYMENT_METHOD_ID,
    },
    "modify_user_address": {"user_id": USER_ID, **ADDRESS},
    "return_delivered_order_items": {
        "order_id": ORDER_ID,
        "item_ids": _item_ids("returned"),
        "payment_method_id": PAYMENT_METHOD_ID,
    },
    "find_user_id_by_email": {
        "email": _text("The email of the user, such as 'something@example.com'.")
    },
    "find_user_id_by_name_zip": {
        "first_name": _text("The first name of the customer, such as 'John'."),
        "last_name": _text("The last name of the customer, such as 'Doe'."),
        "zip": _text("The zip code of the customer, such as '12345'."),
    },
    "get_item_details": {
        "item_id": _text(
            "The item id, such as '6086499569'. "
            "Be careful the item id is different from the product id."
        )
    },
    "get_order_details": {"order_id": ORDER_ID},
    "get_product_details": {
        "product_id": _text(
            "The product id, such as '6086499569'. "
            "Be careful the product id is different from the item id."
        )
    },
    "get_user_details": {"user_id": USER_ID},
    "list_all_product_types": {},
}
