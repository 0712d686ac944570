"""The two ways the published benchmarks word the same company.

Recordings of tau-bench and of tau2-bench differ in how a tool's answer looks and in a few rules.
A dialect holds the wording; rules that differ ask for ``dialect.first`` where they apply. ``tau2``
is what a live service speaks.
"""

from __future__ import annotations

from enum import Enum

from controltower.practice.world.errors import ToolRefusedError
from controltower.practice.world.state import Entity

ORDER_BLANKS = (
    "cancel_reason",
    "exchange_items",
    "exchange_new_items",
    "exchange_payment_method_id",
    "exchange_price_difference",
    "return_items",
    "return_payment_method_id",
)


class Dialect(Enum):
    """Which benchmark's wording and rules a call is answered in."""

    TAU1 = "tau1"
    TAU2 = "tau2"

    @property
    def first(self) -> bool:
        """Whether this is the older benchmark."""
        return self is Dialect.TAU1

    @classmethod
    def of_suite(cls, suite: str) -> Dialect:
        """Return the dialect a recording's suite was made in."""
        return cls.TAU1 if suite == "tau-bench" else cls.TAU2

    def refusal(self, message: str) -> ToolRefusedError:
        """Build a refusal; the older benchmark starts its sentences in lower case."""
        return ToolRefusedError(message[:1].lower() + message[1:] if self.first else message)

    def missing(self, kind: str, key: str) -> ToolRefusedError:
        """Build the refusal for an absent entity; only the newer benchmark names its id."""
        return self.refusal(f"{kind} not found" if self.first else f"{kind} {key} not found")

    def order(self, order: Entity) -> Entity:
        """Show an order; the newer benchmark spells out the fields that are still empty."""
        if self.first:
            return order
        return {**dict.fromkeys(ORDER_BLANKS), **order}

    def user(self, user: Entity) -> Entity:
        """Show a user; the older benchmark kept the id out of the record."""
        if not self.first:
            return user
        return {field: value for field, value in user.items() if field != "user_id"}

    def traveller(self, user: Entity) -> Entity:
        """Show an airline's customer, who used to live in a province rather than a state."""
        if not self.first:
            return user
        address = dict(user["address"])
        address["province"] = address.pop("state")
        return {**self.user(user), "address": address}

    def reservation(self, reservation: Entity) -> Entity:
        """Show a reservation; the newer benchmark always has a status, empty while it stands."""
        return reservation if self.first else {"status": None, **reservation}

    def flight(self, flight: Entity, date: str) -> Entity:
        """Show a flight of one day as a search result."""
        shown = {field: flight[field] for field in flight if field != "dates"}
        shown.update(flight["dates"][date])
        return shown if self.first else {**shown, "date": None}

    def leg(self, flight: Entity, date: str, *, searched: str) -> Entity:
        """Show a flight of one day as part of a journey searched for a day.

        The older benchmark shows the seats and prices of the day searched for, even on a leg that
        leaves the day after.
        """
        day = searched if self.first and searched in flight["dates"] else date
        return {**self.flight(flight, day), "date": date}
