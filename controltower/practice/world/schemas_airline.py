"""Arguments of the airline's tools, to the letter of the published interface (MIT, Sierra)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _count(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _list_of(description: str, **properties: Schema) -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": {"type": "object", "properties": properties, "required": list(properties)},
    }


def _day(example: str) -> Schema:
    return _text(f"The date of the flight in the format 'YYYY-MM-DD', such as '{example}'.")


CABIN = _choice("basic_economy", "economy", "business")
RESERVATION_ID = _text("The reservation ID, such as 'ZFA04Y'.")
BOOKING_USER_ID = _text("The ID of the user to book the reservation, such as 'sara_doe_496'.")
PAYMENT_ID = _text(
    "The payment id stored in user profile, such as 'credit_card_7815826', "
    "'gift_card_7815826', 'certificate_7815826'."
)
FLIGHT = {
    "flight_number": _text("Flight number, such as 'HAT001'."),
    "date": _text("The date for the flight in the format 'YYYY-MM-DD', such as '2024-05-01'."),
}
FLIGHTS = "An array of objects containing details about each piece of flight"
PASSENGERS = _list_of(
    "An array of objects containing details about each passenger.",
    first_name=_text("The first name of the passenger, such as 'Noah'."),
    last_name=_text("The last name of the passenger, such as 'Brown'."),
    dob=_text(
        "The date of birth of the passenger in the format 'YYYY-MM-DD', such as '1990-01-01'."
    ),
)
SEARCH_ENDS = {
    "origin": _text("The origin city airport in three letters, such as 'JFK'."),
    "destination": _text("The destination city airport in three letters, such as 'LAX'."),
}

AIRLINE: dict[str, dict[str, Schema]] = {
    "book_reservation": {
        "user_id": BOOKING_USER_ID,
        "origin": _text("The IATA code for the origin city, such as 'SFO'."),
        "destination": _text("The IATA code for the destination city, such as 'JFK'."),
        "flight_type": _choice("one_way", "round_trip"),
        "cabin": CABIN,
        "flights": _list_of(f"{FLIGHTS}.", **FLIGHT),
        "passengers": PASSENGERS,
        "payment_methods": _list_of(
            "An array of objects containing details about each payment method.",
            payment_id=PAYMENT_ID,
            amount={"type": "number", "description": "The amount to be paid."},
        ),
        "total_baggages": _count("The total number of baggage items included in the reservation."),
        "nonfree_baggages": _count(
            "The number of non-free baggage items included in the reservation."
        ),
        "insurance": _choice("yes", "no"),
    },
    "cancel_reservation": {"reservation_id": RESERVATION_ID},
    "send_certificate": {
        "user_id": BOOKING_USER_ID,
        "amount": {"type": "number", "description": "Certificate amount to send."},
    },
    "update_reservation_baggages": {
        "reservation_id": RESERVATION_ID,
        "total_baggages": _count(
            "The updated total number of baggage items included in the reservation."
        ),
        "nonfree_baggages": _count(
            "The updated number of non-free baggage items included in the reservation."
        ),
        "payment_id": PAYMENT_ID,
    },
    "update_reservation_flights": {
        "reservation_id": RESERVATION_ID,
        "cabin": CABIN,
        "flights": _list_of(
            f"{FLIGHTS} in the ENTIRE new reservation. Even if the a flight segment is not "
            "changed, it should still be included in the array.",
            **FLIGHT,
        ),
        "payment_id": PAYMENT_ID,
    },
    "update_reservation_passengers": {
        "reservation_id": RESERVATION_ID,
        "passengers": PASSENGERS,
    },
    "get_flight_status": {
        "flight_number": _text("The flight number."),
        "date": _text("The date of the flight."),
    },
    "get_reservation_details": {"reservation_id": _text("The reservation id, such as '8JX2WO'.")},
    "get_user_details": {"user_id": _text("The user id, such as 'sara_doe_496'.")},
    "list_all_airports": {},
    "search_direct_flight": {**SEARCH_ENDS, "date": _day("2024-01-01")},
    "search_onestop_flight": {**SEARCH_ENDS, "date": _day("2024-05-01")},
}
