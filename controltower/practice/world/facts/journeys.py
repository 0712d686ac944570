"""Journeys: whether they were flown or disrupted, where they lead and what they would cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from controltower.practice.world.airline import NOW
from controltower.practice.world.facts.values import FactValue, cents, entity
from controltower.practice.world.state import Entity, Tables

COMPANY_NOW = datetime.fromisoformat(NOW)
FLOWN = ("landed", "flying")
Found = dict[str, FactValue | None]
Leg = tuple[str, str]  # flight number, date
SAME_CITY = {"LGA": "JFK", "EWR": "JFK"}  # New York's airports, as one


def legs_of(flights: Sequence[Entity]) -> list[Leg]:
    """Flight numbers and dates, in order."""
    return [(str(f.get("flight_number")), str(f.get("date"))) for f in flights]


def state_of(world: Tables, legs: Sequence[Leg]) -> Found:
    """Whether any part was flown, cancelled by the airline or delayed. A flight's own status
    counts; only a flight without one is judged by its time."""
    statuses = [_status(world, leg) for leg in legs]
    leaving = [when for leg in legs if (when := departure(world, leg)) is not None]
    flown = [
        status in FLOWN or (status is None and _is_past(world, leg))
        for status, leg in zip(statuses, legs, strict=True)
    ]
    return {
        "any_flown": any(flown),
        "all_flown": bool(legs) and all(flown),
        "departure_passed": any(when < COMPANY_NOW for when in leaving),
        "airline_cancelled": "cancelled" in statuses,
        "any_delayed": "delayed" in statuses,
        "first_departure": min(leaving).strftime("%Y-%m-%d %H:%M") if leaving else None,
        "departs_in_hours": _hours(min(leaving) - COMPANY_NOW) if leaving else None,
    }


def described(legs: Sequence[Leg]) -> str:
    """The journey in one line."""
    return ", ".join(f"{number} on {date}" for number, date in legs) or "no flights"


def fits_route(
    world: Tables,
    legs: Sequence[Leg],
    origin: Any,
    destination: Any,
    trip: Any,
    *,
    same_city: bool = False,
) -> bool | None:
    """Whether the flights, in this order, lead from origin to destination, and back on a round
    trip. ``None`` when a flight is unknown; ``same_city`` takes the airports of a city as one."""
    ends = airports(world, legs)
    if ends is None:
        return None
    if same_city:
        ends = [(SAME_CITY.get(here, here), SAME_CITY.get(there, there)) for here, there in ends]
        origin, destination = SAME_CITY.get(origin, origin), SAME_CITY.get(destination, destination)
    if not ends:
        return False
    connected = all(here[1] == there[0] for here, there in pairwise(ends))
    reached = [to for _, to in ends]
    if not connected or ends[0][0] != origin:
        return False
    if trip == "round_trip":
        return destination in reached[:-1] and reached[-1] == origin
    return reached[-1] == destination and origin not in reached


def airports(world: Tables, legs: Sequence[Leg]) -> list[tuple[str, str]] | None:
    """Where each flight leaves and lands; ``None`` when a flight is unknown."""
    flights = [entity(world, "flights", number) for number, _ in legs]
    known = [flight for flight in flights if flight is not None]
    if len(known) < len(flights):
        return None
    return [(str(flight["origin"]), str(flight["destination"])) for flight in known]


def in_order(world: Tables, legs: Sequence[Leg]) -> bool | None:
    """Whether each flight leaves after the one before it has landed."""
    times = [(departure(world, leg), arrival(world, leg)) for leg in legs]
    for (_, landed), (leaves, _) in pairwise(times):
        if landed is None or leaves is None:
            return None
        if leaves < landed:
            return False
    return True


def all_bookable(world: Tables, legs: Sequence[Leg], cabin: str | None, seats: int) -> bool:
    """Whether every flight is on sale that day with enough seats in the cabin."""
    for leg in legs:
        day = _day(world, leg)
        if day is None or day.get("status") != "available":
            return False
        free = day.get("available_seats", {}).get(cabin)
        if not isinstance(free, int) or free < seats:
            return False
    return True


def fare(world: Tables, legs: Sequence[Leg], cabin: str | None) -> int | None:
    """The price of one seat on all the flights, in cents; ``None`` when any has no price."""
    total = 0
    for leg in legs:
        price = cents((_day(world, leg) or {}).get("prices", {}).get(cabin))
        if price is None:
            return None
        total += price
    return total


def hours_since(moment: Any) -> int | None:
    """Whole hours from a stored moment until now."""
    try:
        return _hours(COMPANY_NOW - datetime.fromisoformat(str(moment)))
    except (ValueError, TypeError):
        return None


def departure(world: Tables, leg: Leg) -> datetime | None:
    """When the flight is scheduled to leave."""
    return _moment(world, leg, "scheduled_departure_time_est")


def arrival(world: Tables, leg: Leg) -> datetime | None:
    """When the flight is scheduled to land."""
    return _moment(world, leg, "scheduled_arrival_time_est")


def _moment(world: Tables, leg: Leg, field: str) -> datetime | None:
    number, date = leg
    flight = entity(world, "flights", number)
    if flight is None:
        return None
    clock, _, days = str(flight[field]).partition("+")
    try:
        return datetime.fromisoformat(f"{date}T{clock}") + timedelta(days=int(days or 0))
    except (ValueError, TypeError):
        return None


def _day(world: Tables, leg: Leg) -> Entity | None:
    flight = entity(world, "flights", leg[0])
    day: Entity | None = flight["dates"].get(leg[1]) if flight else None
    return day


def _status(world: Tables, leg: Leg) -> str | None:
    day = _day(world, leg)
    return str(day["status"]) if day and "status" in day else None


def _is_past(world: Tables, leg: Leg) -> bool:
    leaves = departure(world, leg)
    if leaves is not None:
        return leaves < COMPANY_NOW
    return leg[1] < NOW[:10]


def _hours(span: timedelta) -> int:
    return int(span.total_seconds() // 3600)
