"""Facts about a call to the airline: what the fare rules ask about and what money moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controltower.practice.world.airline import BAG_FEE_USD, INSURANCE_FEE_USD, MUTATING
from controltower.practice.world.facts import journeys, wallet
from controltower.practice.world.facts.values import (
    Args,
    FactValue,
    cents,
    entity,
    entries,
    full_name,
    known,
    money,
    settlement,
    stake,
    text,
    whole,
    would_refuse,
)
from controltower.practice.world.state import Entity, Tables

Found = dict[str, FactValue | None]
BAG_FEE, INSURANCE_FEE = BAG_FEE_USD * 100, INSURANCE_FEE_USD * 100
FREE_BAGS = {"basic_economy": 0, "economy": 1, "business": 2}
MEMBER_BAGS = {"regular": 0, "silver": 1, "gold": 2}
MAX_PASSENGERS = 5
MOST_OF_A_KIND = {"certificate": 1, "credit_card": 1, "gift_card": 3}
CANCELLED_CENTS, DELAYED_CENTS = 10_000, 5_000  # the gesture, a passenger
DAY_HOURS = 24


def facts(world: Mapping[str, Any], tool: str, args: Mapping[str, Any]) -> dict[str, FactValue]:
    """Return what the system of record knows about this call before it is made."""
    if tool not in MUTATING:
        return {}
    found = _FACTS[tool](world, args)
    return known({"would_refuse": would_refuse("airline", world, tool, args), **found})


def _cancel(world: Tables, args: Args) -> Found:
    reservation, found = _reservation(world, args)
    if reservation is None:
        return found
    free = bool(
        found["booked_within_24h"] or found["airline_cancelled"] or found["cabin"] == "business"
    )
    flown = bool(found["any_flown"])
    return {
        **found,
        "cancel_allowed": free and not flown,
        "cancel_needs_reason": bool(found["insurance"]) and not free and not flown,
        **stake(_paid(reservation), "refund"),
    }


def _flights(world: Tables, args: Args) -> Found:
    reservation, found = _reservation(world, args)
    cabin, flights = text(args, "cabin"), entries(args, "flights")
    found["cabin_after"] = cabin
    if reservation is None:
        return found
    found |= _method(world, reservation, args)
    found["cabin_changes"] = cabin != reservation["cabin"]
    if flights is None:
        return found
    held, wanted = journeys.legs_of(reservation["flights"]), journeys.legs_of(flights)
    # Flights kept in the same cabin keep their price and need no seat.
    fixed = set() if found["cabin_changes"] else set(held)
    fresh = [leg for leg in wanted if leg not in fixed]
    seats = len(reservation["passengers"])
    changed = wanted != held
    found |= {
        "flights_change": changed,
        "changes_nothing": not changed and not found["cabin_changes"],
        "segments": len(held),
        "segments_after": len(wanted),
        "segments_kept": sum(leg in held for leg in wanted),
        "route_kept": _route_kept(world, reservation, held, wanted),
        **_cities(world, reservation, held, wanted),
        "flights_in_order": journeys.in_order(world, wanted),
        "flights_available": journeys.all_bookable(world, fresh, cabin, seats),
        "new_departure_passed": bool(journeys.state_of(world, fresh)["departure_passed"]),
        "journey_before": journeys.described(held),
        "journey_after": journeys.described(wanted),
    }
    before = sum(cents(flight["price"]) or 0 for flight in reservation["flights"])
    prices = {leg: cents(f["price"]) or 0 for leg, f in _by_leg(reservation).items()}
    added = journeys.fare(world, fresh, cabin)
    if added is None:
        return found
    kept = sum(prices[leg] for leg in wanted if leg in fixed)
    return {**found, **_settled(world, reservation, args, seats * (added + kept - before))}


def _bags(world: Tables, args: Args) -> Found:
    reservation, found = _reservation(world, args)
    total, nonfree = whole(args, "total_baggages"), whole(args, "nonfree_baggages")
    if reservation is None:
        return found
    found |= _method(world, reservation, args)
    found |= _bag_rule(world, reservation, total, nonfree)
    found["bags_before"] = int(reservation["total_baggages"])
    found["nonfree_before"] = int(reservation["nonfree_baggages"])
    if total is None or nonfree is None or abs(total) + abs(nonfree) > 10**6:
        return found
    found["bags_added"] = total - int(reservation["total_baggages"])
    found["bags_removed"] = total < int(reservation["total_baggages"])
    due = BAG_FEE * max(0, nonfree - int(reservation["nonfree_baggages"]))
    return {**found, **_settled(world, reservation, args, due)}


def _passengers(world: Tables, args: Args) -> Found:
    reservation, found = _reservation(world, args)
    people = entries(args, "passengers")
    if reservation is None or people is None:
        return found
    held = list(reservation["passengers"])
    pairs = list(zip(held, people, strict=False))
    renamed = [(old, new) for old, new in pairs if full_name(old) != full_name(new)]
    return {
        **found,
        "passengers_after": len(people),
        "passenger_count_kept": len(people) == len(held),
        "passenger_names_changed": len(renamed),
        "birth_dates_changed": sum(old.get("dob") != new.get("dob") for old, new in pairs),
        "all_names_changed": bool(pairs) and len(renamed) == len(pairs),
        "changes_nothing": people == held,
        "passengers_before_text": _people(held),
        "passengers_after_text": _people(people),
    }


def _certificate(world: Tables, args: Args) -> Found:
    user = entity(world, "users", text(args, "user_id"))
    amount = cents(args.get("amount"))
    if user is None:
        return stake(amount, "credit")
    standing = _standing(user)
    member = standing["membership"] in ("silver", "gold")
    held = [(r, _state(world, r)) for r in _reservations_of(world, user)]
    entitled = [_entitled(reservation) or member for reservation, _ in held]
    gestures = {
        _gesture(reservation, state): reservation["reservation_id"]
        for (reservation, state), may in zip(held, entitled, strict=True)
        if may and _gesture(reservation, state)
    }
    methods = user["payment_methods"].values()
    largest = max(gestures, default=0)
    return {
        **standing,
        **stake(amount, "credit"),
        "compensation_eligible": member or any(entitled),
        "certificate_amount_plausible": amount in gestures,
        "certificate_for": gestures.get(amount or 0),
        "largest_gesture_cents": largest,
        "largest_gesture": money(largest),
        "airline_cancelled": any(bool(state["airline_cancelled"]) for _, state in held),
        "any_delayed": any(bool(state["any_delayed"]) for _, state in held),
        "certificates_held": sum(method["source"] == "certificate" for method in methods),
    }


def _book(world: Tables, args: Args) -> Found:
    user = entity(world, "users", text(args, "user_id"))
    people, flights = entries(args, "passengers"), entries(args, "flights")
    cabin, total, nonfree = text(args, "cabin"), whole(args, "total_baggages"), None
    nonfree = whole(args, "nonfree_baggages")
    found: Found = {
        "cabin": cabin,
        "trip_type": text(args, "flight_type"),
        "insurance": args.get("insurance") == "yes",
    }
    if user is not None:
        found |= _standing(user)
        found |= _payments(user, entries(args, "payment_methods"))
    if people is None or flights is None:
        return found
    seats, legs = len(people), journeys.legs_of(flights)
    planned = {"user_id": args.get("user_id"), "cabin": cabin, "passengers": people}
    found |= _bag_rule(world, planned, total, nonfree)
    trip = (args.get("origin"), args.get("destination"), args.get("flight_type"))
    found |= {
        "passengers": seats,
        "passengers_within_limit": 1 <= seats <= MAX_PASSENGERS,
        "segments": len(legs),
        "journey": journeys.described(legs),
        "passengers_text": _people(people),
        "route_matches": journeys.fits_route(world, legs, *trip),
        "flights_in_order": journeys.in_order(world, legs),
        "flights_available": journeys.all_bookable(world, legs, cabin, seats),
        "same_flights_held": user is not None and _holds(world, user, legs),
        "birth_dates_fit": user is not None and _birth_dates_fit(world, user, people),
    }
    return {**found, **_price(world, found, legs)}


_FACTS: dict[str, Callable[[Tables, Args], Found]] = {
    "book_reservation": _book,
    "cancel_reservation": _cancel,
    "send_certificate": _certificate,
    "update_reservation_baggages": _bags,
    "update_reservation_flights": _flights,
    "update_reservation_passengers": _passengers,
}


def _reservation(world: Tables, args: Args) -> tuple[Entity | None, Found]:
    """The reservation named and what is asked about it, whatever is to be done to it."""
    reservation = entity(world, "reservations", text(args, "reservation_id"))
    if reservation is None:
        return None, {}
    user = entity(world, "users", reservation["user_id"])
    age = journeys.hours_since(reservation["created_at"])
    return reservation, {
        "owner": reservation["user_id"],
        **(_standing(user) if user else {}),
        "already_cancelled": reservation.get("status") == "cancelled",
        "trip_type": str(reservation["flight_type"]),
        "route": f"{reservation['origin']} to {reservation['destination']}",
        "cabin": str(reservation["cabin"]),
        "insurance": reservation["insurance"] == "yes",
        "passengers": len(reservation["passengers"]),
        "booked_hours_ago": age,
        "booked_within_24h": age is not None and 0 <= age < DAY_HOURS,
        "reservation_total_cents": _paid(reservation),
        "payment_methods_used": sorted({p["payment_id"] for p in reservation["payment_history"]}),
        **_state(world, reservation),
        **stake(0, "none"),
    }


def _standing(user: Entity) -> Found:
    return {
        "owner": user.get("user_id"),
        "owner_name": full_name(user.get("name")),
        "membership": str(user.get("membership", "regular")),
    }


def _state(world: Tables, reservation: Entity) -> Found:
    return journeys.state_of(world, journeys.legs_of(reservation["flights"]))


def _method(world: Tables, reservation: Entity, args: Args) -> Found:
    user = entity(world, "users", reservation["user_id"])
    method = user["payment_methods"].get(text(args, "payment_id")) if user else None
    kind = str(method["source"]) if method else None
    paid_with = {payment["payment_id"] for payment in reservation["payment_history"]}
    methods = user["payment_methods"] if user else {}
    return {
        "payment_called": wallet.called(methods, text(args, "payment_id")),
        "payment_was_used": text(args, "payment_id") in paid_with,
        "payment_in_profile": method is not None,
        "payment_kind": kind,
        "payment_kinds_ok": kind in ("credit_card", "gift_card"),
    }


def _settled(world: Tables, reservation: Entity, args: Args, difference: int) -> Found:
    name = text(args, "payment_id")
    user = entity(world, "users", reservation["user_id"])
    method = user["payment_methods"].get(name) if user else None
    covers = None if method is None else wallet.balance(method, difference) >= difference
    choices = wallet.choices(user["payment_methods"] if user else {}, difference)
    return {**settlement(difference, name), "payment_covers": covers, "payment_choices": choices}


def _payments(user: Entity, payments: list[Entity] | None) -> Found:
    """What a booking is paid with."""
    if payments is None:
        return {}
    methods = user["payment_methods"]
    drawn = [(str(p.get("payment_id")), cents(p.get("amount")) or 0) for p in payments]
    mine = [(methods[name], amount) for name, amount in drawn if name in methods]
    kinds = Counter(str(method["source"]) for method, _ in mine)
    left = sum(
        wallet.balance(method, amount) - amount
        for method, amount in mine
        if method["source"] == "certificate"
    )
    paid = sum(amount for _, amount in drawn)
    return {
        "paid_cents": paid,
        "fresh_money_cents": wallet.fresh_money(methods, drawn),
        **stake(paid, "charge"),
        "payment_in_profile": len(mine) == len(drawn),
        "payment_kinds_ok": all(kinds[kind] <= most for kind, most in MOST_OF_A_KIND.items()),
        "balances_cover": all(wallet.balance(method, amount) >= amount for method, amount in mine),
        "payment_methods_used": sorted({name for name, _ in drawn}),
        "certificates_used": kinds["certificate"],
        "certificate_value_lost_cents": max(0, left),
        "payments_text": ", ".join(f"{money(amount)} from {name}" for name, amount in drawn),
    }


def _price(world: Tables, found: Found, legs: Sequence[journeys.Leg]) -> Found:
    """What a booking costs with the bags as stated, and with the bags as the rule has them."""
    fare = journeys.fare(world, legs, str(found["cabin"]))
    seats = int(str(found["passengers"]))
    nonfree, expected = found.get("nonfree_after"), found.get("nonfree_expected")
    if fare is None or not isinstance(nonfree, int):
        return {}
    insured = INSURANCE_FEE * seats if found["insurance"] else 0
    price = seats * fare + insured + BAG_FEE * nonfree
    right = seats * fare + insured + BAG_FEE * expected if isinstance(expected, int) else None
    paid = found.get("paid_cents")
    return {
        "price_cents": price,
        "price_expected_cents": right,
        "insurance_cents": insured,
        "payment_covers": paid == price if paid is not None else None,
    }


def _bag_rule(
    world: Tables, reservation: Mapping[str, Any], total: int | None, nonfree: int | None
) -> Found:
    """The free bags of this member in this cabin, and how many of the bags should be paid."""
    user_id = reservation["user_id"]
    user = entity(world, "users", user_id if isinstance(user_id, str) else None)
    membership = str(user.get("membership", "regular")) if user else None
    cabin, seats = reservation["cabin"], len(reservation["passengers"])
    found: Found = {"bags_after": _small(total), "nonfree_after": _small(nonfree)}
    if membership not in MEMBER_BAGS or cabin not in FREE_BAGS:
        return found
    free = seats * (FREE_BAGS[cabin] + MEMBER_BAGS[membership])
    found["free_bags_allowed"] = free
    if found["bags_after"] is None:
        return found
    expected = max(0, int(str(found["bags_after"])) - free)
    return {
        **found,
        "nonfree_expected": expected,
        "extra_bags_paid_right": found["nonfree_after"] == expected,
    }


def _small(count: int | None) -> int | None:
    return count if count is not None and abs(count) <= 10**6 else None


def _entitled(reservation: Entity) -> bool:
    """Whether this reservation alone, whatever the member, opens the door to compensation."""
    return reservation["insurance"] == "yes" or reservation["cabin"] == "business"


def _gesture(reservation: Entity, state: Found) -> int:
    """The certificate that the rules allow for this reservation, 0 for none."""
    people = len(reservation["passengers"])
    if state["airline_cancelled"]:
        return CANCELLED_CENTS * people
    return DELAYED_CENTS * people if state["any_delayed"] else 0


def _reservations_of(world: Tables, user: Entity) -> list[Entity]:
    found = [entity(world, "reservations", key) for key in user.get("reservations", ())]
    return [reservation for reservation in found if reservation is not None]


def _holds(world: Tables, user: Entity, legs: Sequence[journeys.Leg]) -> bool:
    return any(
        journeys.legs_of(reservation["flights"]) == legs
        for reservation in _reservations_of(world, user)
        if reservation.get("status") != "cancelled"
    )


def _birth_dates_fit(world: Tables, user: Entity, people: Sequence[Entity]) -> bool:
    """Whether no traveller whom the customer's records know gets a birth date that they lack."""
    profile = {**user.get("name", {}), "dob": user.get("dob")}
    earlier = [p for r in _reservations_of(world, user) for p in r["passengers"]]
    known = [profile, *user.get("saved_passengers", ()), *earlier]
    dates: dict[str | None, set[str]] = {}
    for person in known:
        dates.setdefault(_called(person), set()).add(str(person.get("dob")))
    return all(str(p.get("dob")) in dates.get(_called(p), {str(p.get("dob"))}) for p in people)


def _called(person: Entity) -> str:
    return (full_name(person) or "").casefold()


def _route_kept(
    world: Tables, reservation: Entity, held: list[journeys.Leg], wanted: list[journeys.Leg]
) -> bool | None:
    """Whether the journey still leads where it led. Some journeys on record don't fit their own
    route; those are kept by flying between the same airports."""
    now, then = journeys.airports(world, wanted), journeys.airports(world, held)
    if wanted == held or (now is not None and now == then):
        return True
    trip = (reservation["origin"], reservation["destination"], reservation["flight_type"])
    return journeys.fits_route(world, wanted, *trip)


def _cities(
    world: Tables, reservation: Entity, held: list[journeys.Leg], wanted: list[journeys.Leg]
) -> Found:
    """Whether the record fits its own route, and whether the new journey serves the same cities,
    if not the same airports."""
    trip = (reservation["origin"], reservation["destination"], reservation["flight_type"])
    return {
        "route_on_record_fits": journeys.fits_route(world, held, *trip),
        "route_same_city": journeys.fits_route(world, wanted, *trip, same_city=True),
    }


def _by_leg(reservation: Entity) -> dict[journeys.Leg, Entity]:
    flights = reservation["flights"]
    return dict(zip(journeys.legs_of(flights), flights, strict=True))


def _paid(reservation: Entity) -> int:
    return sum(cents(payment["amount"]) or 0 for payment in reservation["payment_history"])


def _people(passengers: Sequence[Entity]) -> str:
    return ", ".join(full_name(passenger) or "unnamed" for passenger in passengers)
