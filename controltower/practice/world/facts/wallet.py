"""A customer's payment methods: how each can be named so that no other of theirs is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from controltower.practice.world.facts.values import cents, money
from controltower.practice.world.state import Entity

TAKEN_FOR_CHANGES = ("credit_card", "gift_card")


def called(methods: Mapping[str, Entity], name: str | None) -> list[str]:
    """The id, the last digits and the balance of a method, and its kind or brand where the
    customer has one such only. Empty for a method that they don't have."""
    if name is None or name not in methods:
        return []
    alone = Counter(word for method in methods.values() for word in _words(method))
    return sorted({name, *(word for word in _words(methods[name]) if alone[word] == 1)})


def choices(methods: Mapping[str, Entity], charge: int) -> int:
    """How many methods a change that charges so many cents could be settled with."""
    return sum(
        method.get("source") in TAKEN_FOR_CHANGES and balance(method, charge) >= charge
        for method in methods.values()
    )


def balance(method: Entity, otherwise: int) -> int:
    """What can be drawn from a method; a credit card has whatever is asked."""
    left = cents(method.get("amount"))
    return otherwise if left is None else left


def fresh_money(methods: Mapping[str, Entity], drawn: Sequence[tuple[str, int]]) -> int:
    """What is drawn from cards, in cents: all but travel certificates."""
    return sum(
        amount
        for name, amount in drawn
        if methods.get(name, {}).get("source") != "certificate" and amount > 0
    )


def _words(method: Entity) -> set[str]:
    left = cents(method.get("amount"))
    found = {
        str(method.get("source", "")).replace("_", " "),
        str(method.get("brand", "")),
        str(method.get("last_four", "")),
        money(left).removesuffix(".00") if left is not None else "",
    }
    return found - {""}
