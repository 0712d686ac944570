"""The two companies as values: their tools, their tables, and one way to call a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from controltower.practice.world import airline, generic_tools, retail

ToolFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Company:
    """A domain with its tools by name, in the order they are listed to agents."""

    domain: str
    tables: tuple[str, ...]
    functions: Mapping[str, ToolFunction]
    mutating: frozenset[str] = field(default_factory=frozenset)


def _company(domain: str, module: ModuleType, tables: tuple[str, ...], reads: str) -> Company:
    names = [*sorted(module.MUTATING), *reads.split()]
    functions = {
        name: getattr(module, name, None) or getattr(generic_tools, name) for name in names
    }
    return Company(domain, tables, functions, module.MUTATING)


COMPANIES = {
    "retail": _company(
        "retail",
        retail,
        ("products", "users", "orders"),
        "calculate find_user_id_by_email find_user_id_by_name_zip get_item_details "
        "get_order_details get_product_details get_user_details list_all_product_types think "
        "transfer_to_human_agents",
    ),
    "airline": _company(
        "airline",
        airline,
        ("flights", "users", "reservations"),
        "calculate get_flight_status get_reservation_details get_user_details list_all_airports "
        "search_direct_flight search_onestop_flight think transfer_to_human_agents",
    ),
}
