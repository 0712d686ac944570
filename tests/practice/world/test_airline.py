from __future__ import annotations

from typing import Any

import pytest

from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import ToolRefusedError
from controltower.practice.world.state import Layer
from controltower.practice.world.tools import call_tool

ADA = {"first_name": "Ada", "last_name": "Byron", "dob": "1990-01-01"}
LEG = {"flight_number": "F1", "date": "2024-05-20"}


def call(world: Any, tool: str, dialect: Dialect = Dialect.TAU2, **args: Any) -> Any:
    return call_tool("airline", world, tool, args, dialect)


def refusal(world: Any, tool: str, dialect: Dialect = Dialect.TAU2, **args: Any) -> str:
    attempt = Layer(world)
    with pytest.raises(ToolRefusedError) as refused:
        call(attempt, tool, dialect, **args)
    assert attempt.touched() == []
    return refused.value.message


def booking(**changed: Any) -> dict[str, Any]:
    return {
        "user_id": "ada",
        "origin": "JFK",
        "destination": "SEA",
        "flight_type": "one_way",
        "cabin": "economy",
        "flights": [LEG],
        "passengers": [ADA],
        "payment_methods": [{"payment_id": "cert", "amount": 180}],
        "total_baggages": 1,
        "nonfree_baggages": 1,
        "insurance": "yes",
        **changed,
    }


def methods(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = world["users"]["ada"]["payment_methods"]
    return found


def test_booking_takes_seats_money_and_the_whole_certificate(airline: Any) -> None:
    booked = call(airline, "book_reservation", **booking())

    assert booked["reservation_id"] == "HATHAT"
    assert booked["flights"][0]["price"] == 100
    assert airline["flights"]["F1"]["dates"]["2024-05-20"]["available_seats"]["economy"] == 1
    assert "cert" not in methods(airline)
    assert airline["users"]["ada"]["reservations"] == ["R1", "HATHAT"]
    assert call(airline, "get_reservation_details", reservation_id="HATHAT") == booked


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"user_id": "bob"}, "User bob not found"),
        ({"flights": [{**LEG, "flight_number": "F9"}]}, "Flight F9 not found"),
        ({"flights": [{**LEG, "date": "2023-01-01"}]}, "Flight F1 not found on date 2023-01-01"),
        (
            {"flights": [{**LEG, "date": "2024-05-01"}]},
            "Flight F1 not available on date 2024-05-01",
        ),
        ({"passengers": [ADA] * 3}, "Not enough seats on flight F1"),
        (
            {"payment_methods": [{"payment_id": "cash", "amount": 180}]},
            "Payment method cash not found",
        ),
        (
            {"payment_methods": [{"payment_id": "gift", "amount": 180}]},
            "Not enough balance in payment method gift",
        ),
        (
            {"payment_methods": [{"payment_id": "card", "amount": 5}]},
            "Payment amount does not add up, total price is 180, but paid 5",
        ),
    ],
)
def test_booking_refuses_and_changes_nothing(
    airline: Any, changed: dict[str, Any], text: str
) -> None:
    assert refusal(airline, "book_reservation", **booking(**changed)) == text


def test_booking_names_the_field_a_payload_lacks(airline: Any) -> None:
    text = refusal(airline, "book_reservation", **booking(passengers=[{"first_name": "Ada"}]))

    assert text.startswith("2 validation errors for Passenger\nlast_name\n  Field required")


def test_only_three_bookings_are_possible(airline: Any) -> None:
    one = booking(cabin="economy", payment_methods=[{"payment_id": "card", "amount": 180}])
    for date in ("2024-05-20", "2024-05-20", "2024-05-21"):
        call(airline, "book_reservation", **{**one, "flights": [{**LEG, "date": date}]})

    assert refusal(airline, "book_reservation", **one) == "Too many reservations"


def test_cancelling_books_every_payment_back(airline: Any) -> None:
    cancelled = call(airline, "cancel_reservation", reservation_id="R1")

    assert cancelled["status"] == "cancelled"
    assert [entry["amount"] for entry in cancelled["payment_history"]] == [80, -80]


def test_changing_flights_charges_the_difference(airline: Any) -> None:
    legs = [{"flight_number": "F2", "date": "2024-05-20"}]
    args = {"reservation_id": "R1", "cabin": "business", "flights": legs}
    kept = call(
        Layer(airline),
        "update_reservation_flights",
        reservation_id="R1",
        cabin="economy",
        flights=[LEG],
        payment_id="card",
    )
    changed = call(Layer(airline), "update_reservation_flights", **args, payment_id="card")
    old = call(airline, "update_reservation_flights", Dialect.TAU1, **args, payment_id="card")

    assert len(kept["payment_history"]) == 1
    assert changed["payment_history"][-1] == {"payment_id": "card", "amount": 220}
    assert (changed["cabin"], old["cabin"]) == ("business", "economy")


@pytest.mark.parametrize(
    ("payment", "text"),
    [
        ("cash", "Payment method not found"),
        ("cert", "Certificate cannot be used to update reservation"),
        ("gift", "Gift card balance is not enough"),
    ],
)
def test_bags_need_a_method_that_can_pay(airline: Any, payment: str, text: str) -> None:
    args = {"reservation_id": "R1", "total_baggages": 5, "nonfree_baggages": 3}

    assert refusal(airline, "update_reservation_baggages", **args, payment_id=payment) == text


def test_added_bags_are_charged_and_fewer_are_free(airline: Any) -> None:
    args = {"reservation_id": "R1", "payment_id": "gift"}
    call(airline, "update_reservation_baggages", **args, total_baggages=3, nonfree_baggages=2)
    fewer = call(
        airline, "update_reservation_baggages", **args, total_baggages=1, nonfree_baggages=0
    )

    assert methods(airline)["gift"]["amount"] == 20.0
    assert fewer["payment_history"][1:] == [{"payment_id": "gift", "amount": 100}]


def test_passengers_can_be_corrected_but_not_counted_anew(airline: Any) -> None:
    people = [{**ADA, "last_name": "Lovelace", "seat": "1A"}]
    changed = call(airline, "update_reservation_passengers", reservation_id="R1", passengers=people)

    assert changed["passengers"] == [{**ADA, "last_name": "Lovelace"}]
    assert (
        refusal(airline, "update_reservation_passengers", reservation_id="R1", passengers=[])
        == "Number of passengers does not match"
    )


def test_three_certificates_can_be_sent(airline: Any) -> None:
    texts = [call(airline, "send_certificate", user_id="ada", amount=50) for _ in range(3)]

    assert texts[0] == "Certificate certificate_3221322 added to user ada with amount 50."
    assert methods(airline)["certificate_3221324"]["amount"] == 50
    assert refusal(airline, "send_certificate", user_id="ada", amount=1) == "Too many certificates"


def test_searches_show_bookable_flights(airline: Any) -> None:
    direct = call(
        airline, "search_direct_flight", origin="JFK", destination="SEA", date="2024-05-20"
    )
    past = call(airline, "search_direct_flight", origin="JFK", destination="SEA", date="2024-05-01")
    onestop = call(
        airline, "search_onestop_flight", origin="JFK", destination="SEA", date="2024-05-20"
    )

    assert [(leg["flight_number"], leg["date"]) for leg in direct] == [("F1", None)]
    assert past == []
    assert [[leg["flight_number"] for leg in pair] for pair in onestop] == [["F2", "F3"]]


def test_dialects_word_the_same_facts_differently(airline: Any) -> None:
    old = call(airline, "get_user_details", Dialect.TAU1, user_id="ada")

    assert old["address"] == {"city": "London", "province": "NY"}
    assert "user_id" not in old
    assert refusal(airline, "get_user_details", Dialect.TAU1, user_id="bob") == "user not found"
    assert call(airline, "get_flight_status", flight_number="F1", date="2024-05-01") == "landed"
    assert call(airline, "list_all_airports", Dialect.TAU1)["JFK"] == "New York"
    assert {"iata": "JFK", "city": "New York"} in call(airline, "list_all_airports")
