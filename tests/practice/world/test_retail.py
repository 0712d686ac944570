from __future__ import annotations

from typing import Any

import pytest

from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import ToolRefusedError
from controltower.practice.world.state import Layer
from controltower.practice.world.tools import call_tool

ADDRESS = {
    "address1": "1 New St",
    "address2": "",
    "city": "Boston",
    "state": "MA",
    "country": "USA",
    "zip": "02101",
}


def call(world: Any, tool: str, dialect: Dialect = Dialect.TAU2, **args: Any) -> Any:
    return call_tool("retail", world, tool, args, dialect)


def refusal(world: Any, tool: str, dialect: Dialect = Dialect.TAU2, **args: Any) -> str:
    attempt = Layer(world)
    with pytest.raises(ToolRefusedError) as refused:
        call(attempt, tool, dialect, **args)
    assert attempt.touched() == []
    return refused.value.message


def balance(world: Any) -> float:
    return float(world["users"]["ada_byron_1"]["payment_methods"]["gift"]["balance"])


def test_lookups_find_the_customer_in_any_letter_case(retail: Any) -> None:
    by_email = call(retail, "find_user_id_by_email", email="aDA@example.COM")
    by_name = call(
        retail, "find_user_id_by_name_zip", first_name="ADA", last_name="byron", zip="10001"
    )

    assert (by_email, by_name) == ("ada_byron_1", "ada_byron_1")
    assert refusal(retail, "find_user_id_by_email", email="x@y.z") == "User not found"


def test_reads_show_what_each_dialect_shows(retail: Any) -> None:
    old = call(retail, "get_order_details", Dialect.TAU1, order_id="#P")
    new = call(retail, "get_order_details", order_id="#P")

    assert old == retail["orders"]["#P"]
    assert new["return_items"] is None
    assert "user_id" not in call(retail, "get_user_details", Dialect.TAU1, user_id="ada_byron_1")
    assert call(retail, "get_item_details", item_id="blue")["price"] == 12.5
    assert call(retail, "list_all_product_types") == {"Mug": "p1"}


def test_cancel_refunds_a_gift_card_at_once(retail: Any) -> None:
    order = call(retail, "cancel_pending_order", order_id="#G", reason="no longer needed")

    assert order["status"] == "cancelled"
    assert order["cancel_reason"] == "no longer needed"
    assert order["payment_history"][1:] == [
        {"transaction_type": "refund", "amount": 10.0, "payment_method_id": "gift"}
    ]
    assert balance(retail) == 30.0


def test_cancel_refuses_what_is_not_pending(retail: Any) -> None:
    args = {"order_id": "#D", "reason": "no longer needed"}

    assert refusal(retail, "cancel_pending_order", **args) == (
        "Non-pending order cannot be cancelled"
    )
    assert refusal(retail, "cancel_pending_order", Dialect.TAU1, **args) == (
        "non-pending order cannot be cancelled"
    )


def test_modify_items_settles_the_difference_and_happens_once(retail: Any) -> None:
    args = {"order_id": "#G", "item_ids": ["red"], "new_item_ids": ["blue"]}
    order = call(retail, "modify_pending_order_items", **args, payment_method_id="gift")

    assert order["status"] == "pending (item modified)"
    assert [(item["item_id"], item["price"]) for item in order["items"]] == [("blue", 12.5)]
    assert order["payment_history"][1]["amount"] == 2.5
    assert balance(retail) == 17.5
    assert (
        refusal(retail, "modify_pending_order_items", **args, payment_method_id="gift")
        == "Non-pending order cannot be modified"
    )


@pytest.mark.parametrize(
    ("old", "new", "method", "text"),
    [
        (["red", "red"], ["blue", "blue"], "card", "red not found"),
        (["red"], [], "card", "The number of items to be exchanged should match"),
        (["red"], ["red"], "card", "The new item id should be different from the old item id"),
        (["red"], ["grey"], "card", "New item grey not found or available"),
        (["red"], ["nope"], "card", "Variant not found"),
        (["red"], ["blue"], "cash", "Payment method not found"),
        (["red"], ["gold"], "gift", "Insufficient gift card balance to pay for the new item"),
    ],
)
def test_modify_items_refuses_and_changes_nothing(
    retail: Any, old: list[str], new: list[str], method: str, text: str
) -> None:
    assert (
        refusal(
            retail,
            "modify_pending_order_items",
            order_id="#G",
            item_ids=old,
            new_item_ids=new,
            payment_method_id=method,
        )
        == text
    )


def test_swapping_two_items_follows_each_dialects_rule(retail: Any) -> None:
    def prices(dialect: Dialect) -> list[float]:
        order = call(
            Layer(retail),
            "modify_pending_order_items",
            dialect,
            order_id="#P",
            item_ids=["red", "red"],
            new_item_ids=["blue", "gold"],
            payment_method_id="card",
        )
        return [item["price"] for item in order["items"]]

    assert prices(Dialect.TAU1) == [12.5, 99.0]
    assert prices(Dialect.TAU2) == [99.0, 99.0]


def test_changing_the_payment_moves_the_money(retail: Any) -> None:
    order = call(retail, "modify_pending_order_payment", order_id="#G", payment_method_id="card")

    assert [
        (entry["transaction_type"], entry["payment_method_id"])
        for entry in order["payment_history"]
    ] == [("payment", "gift"), ("payment", "card"), ("refund", "gift")]
    assert balance(retail) == 30.0
    assert (
        refusal(retail, "modify_pending_order_payment", order_id="#P", payment_method_id="card")
        == "The new payment method should be different from the current one"
    )


def test_exchange_and_return_only_ask(retail: Any) -> None:
    exchanged = call(
        Layer(retail),
        "exchange_delivered_order_items",
        order_id="#D",
        item_ids=["red"],
        new_item_ids=["blue"],
        payment_method_id="card",
    )
    returned = call(
        retail,
        "return_delivered_order_items",
        order_id="#D",
        item_ids=["red"],
        payment_method_id="gift",
    )

    assert (exchanged["status"], exchanged["exchange_price_difference"]) == (
        "exchange requested",
        2.5,
    )
    assert (returned["status"], returned["return_items"]) == ("return requested", ["red"])
    assert balance(retail) == 20.0


def test_addresses_are_changed_apart(retail: Any) -> None:
    order = call(retail, "modify_pending_order_address", order_id="#P", **ADDRESS)
    user_city = retail["users"]["ada_byron_1"]["address"]["city"]
    user = call(retail, "modify_user_address", user_id="ada_byron_1", **ADDRESS)

    assert (order["address"], user_city, user["address"]) == (ADDRESS, "London", ADDRESS)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"order_id": "#P"}, "Missing argument: reason"),
        ({"order_id": "#P", "reason": "bored"}, "Argument reason should be one of"),
        ({"order_id": 7, "reason": "no longer needed"}, "Argument order_id should be of type"),
        ({"order_id": "#P", "reason": "no longer needed", "x": 1}, "Unknown argument: x"),
    ],
)
def test_arguments_must_fit_the_schema(retail: Any, args: dict[str, Any], text: str) -> None:
    assert refusal(retail, "cancel_pending_order", **args).startswith(text)


def test_unknown_tool_is_refused(retail: Any) -> None:
    assert refusal(retail, "delete_everything") == "Unknown tool: delete_everything"


@pytest.mark.parametrize(
    ("expression", "answer"),
    [("2 + 3 * 4", "14.0"), ("(1 - 3) / 3", "-0.67"), ("-(2)", "-2.0"), ("7 // 2", "3.0")],
)
def test_calculate_answers_to_cents(retail: Any, expression: str, answer: str) -> None:
    assert call(retail, "calculate", expression=expression) == answer


@pytest.mark.parametrize("expression", ["__import__('os')", "9 ** 9", "1 / 0", "2 +", "\n1", "1e9"])
def test_calculate_refuses_anything_but_sums(retail: Any, expression: str) -> None:
    assert refusal(retail, "calculate", expression=expression)


def test_thinking_and_handing_over_change_nothing(retail: Any) -> None:
    assert call(retail, "think", thought="hm") == ""
    assert call(retail, "transfer_to_human_agents", summary="s") == "Transfer successful"
