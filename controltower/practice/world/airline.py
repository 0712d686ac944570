"""The airline's system of record: what an agent may look up and change about reservations.

Each tool is a function of a world, a dialect and the tool's own arguments. It checks everything
before it changes anything, so a refusal leaves the world as it was. Amounts are whole US dollars;
the company's clock stands still at the moment the published data was taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controltower.practice.world.airline_payloads import (
    read_flights,
    read_passengers,
    read_payments,
)
from controltower.practice.world.dialect import Dialect
from controltower.practice.world.state import Entity, Tables, copied, edit, put

NOW = "2024-05-15T15:00:00"
NEW_RESERVATION_IDS = ("HATHAT", "HATHAU", "HATHAV")
NEW_CERTIFICATE_IDS = ("certificate_3221322", "certificate_3221323", "certificate_3221324")
BAG_FEE_USD = 50
INSURANCE_FEE_USD = 30
AIRPORTS = {
    "SFO": "San Francisco",
    "JFK": "New York",
    "LAX": "Los Angeles",
    "ORD": "Chicago",
    "DFW": "Dallas",
    "DEN": "Denver",
    "SEA": "Seattle",
    "ATL": "Atlanta",
    "MIA": "Miami",
    "BOS": "Boston",
    "PHX": "Phoenix",
    "IAH": "Houston",
    "LAS": "Las Vegas",
    "MCO": "Orlando",
    "EWR": "Newark",
    "CLT": "Charlotte",
    "MSP": "Minneapolis",
    "DTW": "Detroit",
    "PHL": "Philadelphia",
    "LGA": "LaGuardia",
}
MUTATING = frozenset(
    {
        "book_reservation",
        "cancel_reservation",
        "send_certificate",
        "update_reservation_baggages",
        "update_reservation_flights",
        "update_reservation_passengers",
    }
)


def get_user_details(world: Tables, dialect: Dialect, *, user_id: str) -> Entity:
    """Return a customer's record."""
    return dialect.traveller(_found(world, dialect, "users", user_id))


def get_reservation_details(world: Tables, dialect: Dialect, *, reservation_id: str) -> Entity:
    """Return a reservation."""
    return dialect.reservation(_found(world, dialect, "reservations", reservation_id))


def get_flight_status(world: Tables, dialect: Dialect, *, flight_number: str, date: str) -> str:
    """Return whether a flight of one day is available, landed, delayed and so on."""
    status: str = _flight_day(world, dialect, flight_number, date)["status"]
    return status


def list_all_airports(world: Tables, dialect: Dialect) -> Any:
    """Return the airports served and their cities."""
    if dialect.first:
        return dict(AIRPORTS)
    return [{"iata": iata, "city": city} for iata, city in AIRPORTS.items()]


def search_direct_flight(
    world: Tables, dialect: Dialect, *, origin: str, destination: str, date: str
) -> list[Entity]:
    """Return the flights of a day between two airports that can still be booked."""
    return [
        dialect.flight(flight, date)
        for flight in _bookable(world, date)
        if flight["origin"] == origin and flight["destination"] == destination
    ]


def search_onestop_flight(
    world: Tables, dialect: Dialect, *, origin: str, destination: str, date: str
) -> list[list[Entity]]:
    """Return pairs of bookable flights with one stop, the second leaving after the first lands."""
    found: list[list[Entity]] = []
    for first in _bookable(world, date):
        if first["origin"] != origin:
            continue
        arrival = first["scheduled_arrival_time_est"]
        # The published rule neither pads the day nor leaves May, and compares "+1" times as text.
        date2 = f"2024-05-{int(date[-2:]) + 1}" if "+1" in arrival else date
        found += [
            [dialect.leg(first, date, searched=date), dialect.leg(second, date2, searched=date)]
            for second in _bookable(world, date2)
            if second["origin"] == first["destination"]
            and second["destination"] == destination
            and second["scheduled_departure_time_est"] >= arrival
        ]
    return found


def book_reservation(
    world: Tables,
    dialect: Dialect,
    *,
    user_id: str,
    origin: str,
    destination: str,
    flight_type: str,
    cabin: str,
    flights: list[Entity],
    passengers: list[Entity],
    payment_methods: list[Entity],
    total_baggages: int,
    nonfree_baggages: int,
    insurance: str,
) -> Entity:
    """Book flights for passengers, paid in full from the customer's stored methods."""
    legs = read_flights(flights)
    people = read_passengers(passengers)
    payments = read_payments(payment_methods)
    _found(world, dialect, "users", user_id)
    reservation_id = _new_reservation_id(world, dialect)
    booked = [_open_leg(world, dialect, leg, cabin, len(people)) for leg in legs]
    price = len(people) * sum(leg["price"] for leg in booked) + BAG_FEE_USD * nonfree_baggages
    if insurance == "yes":
        price += INSURANCE_FEE_USD * len(people)
    _require_payments(world, dialect, user_id, payments, price)

    for leg in booked:
        day = edit(world, "flights", leg["flight_number"])["dates"][leg["date"]]
        day["available_seats"][cabin] -= len(people)
    _pay(world, user_id, payments)
    reservation = {
        "reservation_id": reservation_id,
        "user_id": user_id,
        "origin": origin,
        "destination": destination,
        "flight_type": flight_type,
        "cabin": cabin,
        "flights": booked,
        "passengers": people,
        "payment_history": payments,
        "created_at": NOW,
        "total_baggages": total_baggages,
        "nonfree_baggages": nonfree_baggages,
        "insurance": insurance,
    }
    put(world, "reservations", reservation_id, reservation)
    edit(world, "users", user_id)["reservations"].append(reservation_id)
    return dialect.reservation(reservation)


def cancel_reservation(world: Tables, dialect: Dialect, *, reservation_id: str) -> Entity:
    """Cancel a whole reservation and book the refund of every payment made for it."""
    _found(world, dialect, "reservations", reservation_id)
    reservation = edit(world, "reservations", reservation_id)
    reservation["payment_history"] += [
        {**payment, "amount": -payment["amount"]} for payment in reservation["payment_history"]
    ]
    reservation["status"] = "cancelled"
    return dialect.reservation(reservation)


def send_certificate(world: Tables, dialect: Dialect, *, user_id: str, amount: float) -> str:
    """Give a customer a travel certificate; at most three new ones can be held."""
    methods = _found(world, dialect, "users", user_id)["payment_methods"]
    certificate_id = next((name for name in NEW_CERTIFICATE_IDS if name not in methods), None)
    if certificate_id is None:
        raise dialect.refusal("Too many certificates")
    certificate = {"source": "certificate", "id": certificate_id, "amount": amount}
    edit(world, "users", user_id)["payment_methods"][certificate_id] = certificate
    return f"Certificate {certificate_id} added to user {user_id} with amount {amount}."


def update_reservation_baggages(
    world: Tables,
    dialect: Dialect,
    *,
    reservation_id: str,
    total_baggages: int,
    nonfree_baggages: int,
    payment_id: str,
) -> Entity:
    """Change the number of bags; added paid bags are charged, fewer are not refunded."""
    reservation = _found(world, dialect, "reservations", reservation_id)
    price = BAG_FEE_USD * max(0, nonfree_baggages - reservation["nonfree_baggages"])
    _require_method(world, dialect, reservation["user_id"], payment_id, price)

    reservation = edit(world, "reservations", reservation_id)
    _charge(world, reservation, payment_id, price)
    reservation["total_baggages"] = total_baggages
    reservation["nonfree_baggages"] = nonfree_baggages
    return dialect.reservation(reservation)


def update_reservation_flights(
    world: Tables,
    dialect: Dialect,
    *,
    reservation_id: str,
    cabin: str,
    flights: list[Entity],
    payment_id: str,
) -> Entity:
    """Replace cabin and flights of a reservation and settle the difference.

    Flights kept in the same cabin keep the price paid for them. Seats are not moved, as published.
    """
    wanted = read_flights(flights)
    reservation = _found(world, dialect, "reservations", reservation_id)
    count = len(reservation["passengers"])
    legs = [
        _kept_leg(reservation, cabin, leg) or _open_leg(world, dialect, leg, cabin, count)
        for leg in wanted
    ]
    paid = sum(leg["price"] for leg in reservation["flights"])
    price = count * (sum(leg["price"] for leg in legs) - paid)
    _require_method(world, dialect, reservation["user_id"], payment_id, price)

    reservation = edit(world, "reservations", reservation_id)
    _charge(world, reservation, payment_id, price)
    reservation["flights"] = legs
    if not dialect.first:  # The older benchmark prices the new cabin but never notes it down.
        reservation["cabin"] = cabin
    return dialect.reservation(reservation)


def update_reservation_passengers(
    world: Tables, dialect: Dialect, *, reservation_id: str, passengers: list[Entity]
) -> Entity:
    """Correct the passengers' details; their number cannot change."""
    people = read_passengers(passengers)
    reservation = _found(world, dialect, "reservations", reservation_id)
    if len(people) != len(reservation["passengers"]):
        raise dialect.refusal("Number of passengers does not match")
    reservation = edit(world, "reservations", reservation_id)
    reservation["passengers"] = people
    return dialect.reservation(reservation)


def _found(world: Tables, dialect: Dialect, table: str, key: str) -> Entity:
    if key not in world[table]:
        raise dialect.missing(table[:-1].capitalize(), key)
    return world[table][key]


def _flight_day(world: Tables, dialect: Dialect, flight_number: str, date: str) -> Entity:
    flight = world["flights"].get(flight_number)
    if flight is None:
        raise dialect.refusal(f"Flight {flight_number} not found")
    if date not in flight["dates"]:
        raise dialect.refusal(f"Flight {flight_number} not found on date {date}")
    day: Entity = flight["dates"][date]
    return day


def _bookable(world: Tables, date: str) -> Iterator[Entity]:
    for flight in world["flights"].values():
        day = flight["dates"].get(date)
        if day is not None and day["status"] == "available":
            yield flight


def _open_leg(world: Tables, dialect: Dialect, leg: Entity, cabin: str, seats: int) -> Entity:
    """Price a flight of one day that still has seats in the cabin."""
    number, date = leg["flight_number"], leg["date"]
    day = _flight_day(world, dialect, number, date)
    if day["status"] != "available":
        raise dialect.refusal(f"Flight {number} not available on date {date}")
    if cabin not in day["prices"]:
        raise dialect.refusal(f"Cabin {cabin} not found on flight {number}")
    if day["available_seats"][cabin] < seats:
        raise dialect.refusal(f"Not enough seats on flight {number}")
    flight = world["flights"][number]
    return {
        "origin": flight["origin"],
        "destination": flight["destination"],
        "flight_number": number,
        "date": date,
        "price": day["prices"][cabin],
    }


def _kept_leg(reservation: Entity, cabin: str, leg: Entity) -> Entity | None:
    if cabin != reservation["cabin"]:
        return None
    wanted = (leg["flight_number"], leg["date"])
    for held in reservation["flights"]:
        if (held["flight_number"], held["date"]) == wanted:
            kept: Entity = copied(held)
            return kept
    return None


def _new_reservation_id(world: Tables, dialect: Dialect) -> str:
    for reservation_id in NEW_RESERVATION_IDS:
        if reservation_id not in world["reservations"]:
            return reservation_id
    raise dialect.refusal("Too many reservations")


def _require_payments(
    world: Tables, dialect: Dialect, user_id: str, payments: list[Entity], price: int
) -> None:
    methods = world["users"][user_id]["payment_methods"]
    for payment in payments:
        name = payment["payment_id"]
        if name not in methods:
            raise dialect.refusal(f"Payment method {name} not found")
        if methods[name].get("amount", payment["amount"]) < payment["amount"]:
            raise dialect.refusal(f"Not enough balance in payment method {name}")
    paid = sum(payment["amount"] for payment in payments)
    if paid != price:
        raise dialect.refusal(
            f"Payment amount does not add up, total price is {price}, but paid {paid}"
        )


def _pay(world: Tables, user_id: str, payments: list[Entity]) -> None:
    """Draw the payments; a certificate is spent whole, whatever is left on it."""
    methods = edit(world, "users", user_id)["payment_methods"]
    for payment in payments:
        method = methods.get(payment["payment_id"], {"source": "spent"})
        if method["source"] == "gift_card":
            method["amount"] -= payment["amount"]
        elif method["source"] == "certificate":
            del methods[payment["payment_id"]]


def _require_method(
    world: Tables, dialect: Dialect, user_id: str, payment_id: str, price: float
) -> None:
    method = world["users"][user_id]["payment_methods"].get(payment_id)
    if method is None:
        raise dialect.refusal("Payment method not found")
    if method["source"] == "certificate":
        raise dialect.refusal("Certificate cannot be used to update reservation")
    if method["source"] == "gift_card" and method["amount"] < price:
        raise dialect.refusal("Gift card balance is not enough")


def _charge(world: Tables, reservation: Entity, payment_id: str, price: float) -> None:
    """Book a charge, or a refund when the price is negative, against one stored method."""
    if price == 0:
        return
    user_id = reservation["user_id"]
    if world["users"][user_id]["payment_methods"][payment_id]["source"] == "gift_card":
        edit(world, "users", user_id)["payment_methods"][payment_id]["amount"] -= price
    reservation["payment_history"].append({"payment_id": payment_id, "amount": price})
