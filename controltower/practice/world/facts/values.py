"""Reading arguments that may be anything, and writing facts that are only what policy can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controltower.practice.world.errors import ToolRefusedError
from controltower.practice.world.state import Entity, Layer, Tables
from controltower.practice.world.tools import call_tool

FactValue = bool | int | str | list[str]
Args = Mapping[str, Any]
MAX_CENTS = 10**15


def text(args: Args, name: str) -> str | None:
    """An argument that should be a text."""
    value = args.get(name)
    return value if isinstance(value, str) else None


def whole(args: Args, name: str) -> int | None:
    """An argument that should be a whole number."""
    value = args.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(args: Args, name: str) -> list[str] | None:
    """An argument that should be a list of texts; ``None`` when any item isn't one."""
    value = args.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return value


def entries(args: Args, name: str) -> list[Entity] | None:
    """An argument that should be a list of objects; ``None`` when any item isn't one."""
    value = args.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    return value


def entity(world: Tables, table: str, key: str | None) -> Entity | None:
    """A row of the world, or ``None``."""
    if key is None or key not in world[table]:
        return None
    return world[table][key]


def cents(dollars: Any) -> int | None:
    """Dollars as whole cents; ``None`` for what isn't an amount of this world."""
    if isinstance(dollars, bool) or not isinstance(dollars, int | float):
        return None
    if not -MAX_CENTS < dollars < MAX_CENTS:  # also false for NaN
        return None
    return round(dollars * 100)


def money(amount: int) -> str:
    """Cents as a person reads them."""
    return f"{'-' if amount < 0 else ''}${abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def stake(amount: int | None, kind: str) -> dict[str, FactValue | None]:
    """The money at stake: in cents, as text, and which way it goes."""
    if amount is None:
        return {}
    return {
        "amount_cents": abs(amount),
        "amount": money(abs(amount)),
        "amount_kind": kind if amount else "none",
    }


def settlement(difference: int | None, method: str | None) -> dict[str, FactValue | None]:
    """A price difference: above zero the customer pays it, below zero it goes back."""
    if difference is None:
        return {}
    where = method or "an unknown method"
    if difference == 0:
        said = "nothing is charged or refunded"
    elif difference > 0:
        said = f"{money(difference)} is charged to {where}"
    else:
        said = f"{money(-difference)} goes back to {where}"
    kind = "charge" if difference > 0 else "refund"
    return {**stake(difference, kind), "price_difference_cents": difference, "settlement": said}


def would_refuse(domain: str, world: Tables, tool: str, args: Args) -> bool:
    """Whether the company itself would say no, tried on a copy that is then forgotten. A call
    that breaks its tool counts as refused: it can have no effect either."""
    try:
        call_tool(domain, Layer(world), tool, dict(args))
    except ToolRefusedError:
        return True
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        return True
    return False


def known(found: Mapping[str, FactValue | None]) -> dict[str, FactValue]:
    """The facts that have a value."""
    return {name: value for name, value in found.items() if value is not None}


def full_name(person: Any) -> str | None:
    """A first and last name in one text."""
    if not isinstance(person, Mapping):
        return None
    return " ".join(str(person.get(part, "")) for part in ("first_name", "last_name")).strip()
