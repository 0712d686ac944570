"""Facts about calls to tiny companies, and that the packs declare every one with its type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog.domain.pack import parse_pack
from controltower.practice.world.companies import COMPANIES
from controltower.practice.world.facts import airline, retail, wallet
from controltower.practice.world.facts.values import cents, money
from controltower.practice.world.schemas import parameters
from controltower.practice.world.state import Layer
from tests.practice.world.conftest import tiny_airline, tiny_retail

PACKS = Path(__file__).parents[3] / "controltower" / "practice" / "packs"
MODULES: dict[str, Any] = {"airline": airline, "retail": retail}
WORLDS: dict[str, Any] = {"airline": tiny_airline, "retail": tiny_retail}
HOME = {
    "address1": "1 High Street",
    "address2": "",
    "city": "Bath",
    "state": "NY",
    "country": "USA",
    "zip": "10002",
}
CALLS: dict[str, dict[str, dict[str, Any]]] = {
    "retail": {
        "cancel_pending_order": {"order_id": "#P", "reason": "no longer needed"},
        "modify_pending_order_items": {
            "order_id": "#P",
            "item_ids": ["red"],
            "new_item_ids": ["blue"],
            "payment_method_id": "gift",
        },
        "exchange_delivered_order_items": {
            "order_id": "#D",
            "item_ids": ["red"],
            "new_item_ids": ["blue"],
            "payment_method_id": "card",
        },
        "return_delivered_order_items": {
            "order_id": "#D",
            "item_ids": ["red"],
            "payment_method_id": "card",
        },
        "modify_pending_order_payment": {"order_id": "#P", "payment_method_id": "gift"},
        "modify_pending_order_address": {"order_id": "#P", **HOME},
        "modify_user_address": {"user_id": "ada_byron_1", **HOME},
    },
    "airline": {
        "book_reservation": {
            "user_id": "ada",
            "origin": "JFK",
            "destination": "SEA",
            "flight_type": "one_way",
            "cabin": "economy",
            "flights": [{"flight_number": "F1", "date": "2024-05-21"}],
            "passengers": [{"first_name": "Ada", "last_name": "Byron", "dob": "1990-01-01"}],
            "payment_methods": [{"payment_id": "card", "amount": 130}],
            "total_baggages": 1,
            "nonfree_baggages": 0,
            "insurance": "yes",
        },
        "cancel_reservation": {"reservation_id": "R1"},
        "send_certificate": {"user_id": "ada", "amount": 100},
        "update_reservation_baggages": {
            "reservation_id": "R1",
            "total_baggages": 3,
            "nonfree_baggages": 2,
            "payment_id": "gift",
        },
        "update_reservation_flights": {
            "reservation_id": "R1",
            "cabin": "business",
            "flights": [{"flight_number": "F1", "date": "2024-05-20"}],
            "payment_id": "gift",
        },
        "update_reservation_passengers": {
            "reservation_id": "R1",
            "passengers": [{"first_name": "Ada", "last_name": "King", "dob": "1990-01-01"}],
        },
    },
}
EVERY_CALL = [(domain, tool) for domain, calls in CALLS.items() for tool in calls]


def stated(domain: str, tool: str, world: Any = None, **changed: Any) -> dict[str, Any]:
    """The facts of the example call with some arguments changed."""
    args = {**CALLS[domain][tool], **changed}
    found: dict[str, Any] = MODULES[domain].facts(world or WORLDS[domain](), tool, args)
    return found


def declared(domain: str) -> dict[str, dict[str, str]]:
    pack, _ = parse_pack((PACKS / domain / "pack.yaml").read_text(encoding="utf-8"))
    assert pack is not None
    return {tool["name"]: dict(tool.get("facts") or {}) for tool in pack.tools}


DECLARED = {domain: declared(domain) for domain in MODULES}
TYPES = {"bool": bool, "long": int, "string": str, "set": list}


def fits(found: dict[str, Any], types: dict[str, str]) -> bool:
    """Whether every fact is of its declared type and no longer than Cedar's integers."""
    longs = [value for value in found.values() if type(value) is int]
    assert all(abs(value) < 2**63 for value in longs)
    return all(type(value) is TYPES[types[name].removesuffix("?")] for name, value in found.items())


def has(found: dict[str, Any], **expected: Any) -> None:
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(("domain", "tool"), EVERY_CALL)
def test_every_fact_is_declared_with_its_type(domain: str, tool: str) -> None:
    found = stated(domain, tool)
    types = DECLARED[domain][tool]
    assert set(found) <= set(types)
    assert fits(found, types)


@pytest.mark.parametrize(("domain", "tool"), EVERY_CALL)
def test_a_call_that_would_be_carried_out_has_every_fact_that_has_to_be_known(
    domain: str, tool: str
) -> None:
    """Else it would be held for a person: see docs/unknown-facts.md."""
    found = stated(domain, tool)
    needed = {n for n, kind in DECLARED[domain][tool].items() if not kind.endswith("?")}

    assert found["would_refuse"] or needed <= set(found), needed - set(found)


@pytest.mark.parametrize(("domain", "tool"), EVERY_CALL)
def test_asking_changes_nothing(domain: str, tool: str) -> None:
    world = WORLDS[domain]()
    layer = Layer(world)
    MODULES[domain].facts(layer, tool, CALLS[domain][tool])
    assert layer.touched() == []
    assert world == WORLDS[domain]()


@pytest.mark.parametrize("domain", MODULES)
def test_tools_that_change_nothing_have_no_facts(domain: str) -> None:
    reads = set(COMPANIES[domain].functions) - set(COMPANIES[domain].mutating)
    for tool in [*reads, "no_such_tool"]:
        assert MODULES[domain].facts(WORLDS[domain](), tool, {}) == {}


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "R1", "#P", "#D", "ada", "ada_byron_1", "red", "gift", "economy"]),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.dictionaries(st.text(), st.none()))),
    st.lists(st.fixed_dictionaries({}, optional={"payment_id": st.lists(st.none())})),
)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), call=st.sampled_from(EVERY_CALL))
def test_odd_arguments_are_never_an_error(data: st.DataObject, call: tuple[str, str]) -> None:
    domain, tool = call
    names = list(parameters(domain, tool)["properties"])
    changed = data.draw(st.dictionaries(st.sampled_from(names), ODD, max_size=3))
    found = stated(domain, tool, **changed)
    assert fits(found, DECLARED[domain][tool])


def test_a_cancelled_order_gives_the_payment_back() -> None:
    found = stated("retail", "cancel_pending_order")
    has(found, owner="ada_byron_1", owner_name="Ada Byron", order_status="pending")
    has(found, amount_cents=2000, amount="$20.00", amount_kind="refund", refund_to="credit card")
    has(found, reason_allowed=True, would_refuse=False, already_modified=False)
    has(stated("retail", "cancel_pending_order", reason="bored"), reason_allowed=False)
    has(stated("retail", "cancel_pending_order", order_id="#D"), would_refuse=True)
    assert stated("retail", "cancel_pending_order", order_id="#X").get("owner") is None


def test_changed_items_are_compared_with_what_they_replace() -> None:
    found = stated("retail", "modify_pending_order_items")
    has(found, item_count=1, items_in_order=True, whole_order=False, same_product=True)
    has(found, new_items_available=True, different_option=True, gift_card_covers=True)
    has(found, price_difference_cents=250, amount_kind="charge", would_refuse=False)
    assert found["settlement"] == "$2.50 is charged to gift"
    assert found["items"] == "Mug (red at $10.00) → blue at $12.50"


def test_items_that_cannot_be_had_are_seen() -> None:
    tool = "modify_pending_order_items"
    has(stated("retail", tool, new_item_ids=["grey"]), new_items_available=False, would_refuse=True)
    has(stated("retail", tool, new_item_ids=["sock"]), same_product=False, would_refuse=True)
    has(stated("retail", tool, new_item_ids=["red"]), different_option=False, amount_kind="none")
    has(stated("retail", tool, new_item_ids=["gold"]), gift_card_covers=False, would_refuse=True)
    has(stated("retail", tool, item_ids=["red"] * 3), items_in_order=False, same_count=False)
    has(stated("retail", tool, payment_method_id="theirs"), payment_in_profile=False)


def test_a_return_goes_to_the_original_method_or_a_gift_card() -> None:
    tool = "return_delivered_order_items"
    has(stated("retail", tool), amount_cents=1000, payment_is_original=True, whole_order=True)
    gift = stated("retail", tool, payment_method_id="gift")
    has(gift, payment_is_original=False, payment_is_original_or_gift=True, payment_kind="gift_card")
    has(stated("retail", tool, payment_method_id="theirs"), payment_is_original_or_gift=False)


def test_an_address_is_compared_with_the_one_on_file() -> None:
    order = stated("retail", "modify_pending_order_address")
    has(order, address_changes=True, is_default_address_change=False, order_total="$20.00")
    assert order["address"] == "1 High Street, Bath, NY, USA, 10002"
    user = stated("retail", "modify_user_address")
    has(user, is_default_address_change=True, pending_orders=2, owner="ada_byron_1")
    world = tiny_retail()
    world["users"]["ada_byron_1"]["address"] = dict(HOME)
    has(stated("retail", "modify_user_address", world), address_changes=False)
    has(stated("retail", "modify_pending_order_address", world), is_customers_own_address=True)


def test_a_new_payment_differs_and_covers_the_order() -> None:
    has(stated("retail", "modify_pending_order_payment"), payment_differs=True, amount_cents=2000)
    same = stated("retail", "modify_pending_order_payment", payment_method_id="card")
    has(same, payment_differs=False, would_refuse=True)


@pytest.mark.parametrize(
    ("edit", "allowed", "needs_reason"),
    [
        ({}, False, False),
        ({"insurance": "yes"}, False, True),
        ({"cabin": "business"}, True, False),
        ({"created_at": "2024-05-14T15:00:01"}, True, False),
        ({"created_at": "2024-05-14T15:00:00"}, False, False),
        ({"cabin": "business", "date": "2024-05-01"}, False, False),
    ],
)
def test_a_cancellation_is_judged_by_the_fare_rules(
    edit: dict[str, str], allowed: bool, needs_reason: bool
) -> None:
    world = tiny_airline()
    reservation = world["reservations"]["R1"]
    reservation["flights"][0]["date"] = edit.pop("date", "2024-05-20")
    reservation.update(edit)
    found = stated("airline", "cancel_reservation", world)
    has(found, cancel_allowed=allowed, cancel_needs_reason=needs_reason, amount_cents=8000)
    has(found, amount_kind="refund", route="JFK to SEA", already_cancelled=False)


def test_a_flight_cancelled_by_the_airline_was_not_flown() -> None:
    world = tiny_airline()
    world["flights"]["F1"]["dates"]["2024-05-01"]["status"] = "cancelled"
    world["reservations"]["R1"]["flights"][0]["date"] = "2024-05-01"
    found = stated("airline", "cancel_reservation", world)
    has(found, airline_cancelled=True, any_flown=False, departure_passed=True, cancel_allowed=True)


def test_a_cabin_change_is_priced_against_what_was_paid() -> None:
    found = stated("airline", "update_reservation_flights")
    has(found, cabin="economy", cabin_after="business", cabin_changes=True, flights_change=False)
    has(found, price_difference_cents=22000, amount_kind="charge", flights_available=True)
    has(found, payment_covers=False, payment_kinds_ok=True, route_kept=True, would_refuse=True)
    certificate = stated("airline", "update_reservation_flights", payment_id="cert")
    has(certificate, payment_kind="certificate", payment_kinds_ok=False)


def test_other_flights_must_keep_the_route() -> None:
    tool = "update_reservation_flights"
    via = [{"flight_number": f, "date": "2024-05-20"} for f in ("F2", "F3")]
    found = stated("airline", tool, cabin="economy", flights=via)
    has(found, flights_change=True, route_kept=True, flights_in_order=True, segments_after=2)
    has(found, price_difference_cents=12000, payment_covers=True)
    early = [via[0], {"flight_number": "F4", "date": "2024-05-20"}]
    has(stated("airline", tool, cabin="economy", flights=early), flights_in_order=False)
    has(stated("airline", tool, cabin="economy", flights=via[:1]), route_kept=False)
    same = [{"flight_number": "F1", "date": "2024-05-20"}]
    has(
        stated("airline", tool, cabin="economy", flights=same), changes_nothing=True, amount="$0.00"
    )


def test_bags_above_the_allowance_are_paid() -> None:
    found = stated("airline", "update_reservation_baggages")
    has(found, free_bags_allowed=1, nonfree_expected=2, extra_bags_paid_right=True, bags_added=2)
    has(found, amount_cents=10000, amount_kind="charge", payment_covers=True)
    world = tiny_airline()
    world["users"]["ada"]["membership"] = "gold"
    gold = stated("airline", "update_reservation_baggages", world)
    has(gold, free_bags_allowed=3, nonfree_expected=0, extra_bags_paid_right=False)
    has(stated("airline", "update_reservation_baggages", total_baggages=0), bags_removed=True)


def test_travellers_are_compared_one_by_one() -> None:
    found = stated("airline", "update_reservation_passengers")
    has(found, passenger_names_changed=1, birth_dates_changed=0, passenger_count_kept=True)
    has(found, passengers_after_text="Ada King", all_names_changed=True)
    has(stated("airline", "update_reservation_passengers", passengers=[]), would_refuse=True)


def test_a_booking_adds_up() -> None:
    found = stated("airline", "book_reservation")
    has(found, price_cents=13000, paid_cents=13000, payment_covers=True, insurance_cents=3000)
    has(found, route_matches=True, flights_available=True, extra_bags_paid_right=True)
    has(found, amount="$130.00", amount_kind="charge", would_refuse=False, same_flights_held=False)
    held = stated(
        "airline", "book_reservation", flights=[{"flight_number": "F1", "date": "2024-05-20"}]
    )
    has(held, same_flights_held=True)


def test_a_booking_is_paid_with_few_methods() -> None:
    mixed = [{"payment_id": "cert", "amount": 100}, {"payment_id": "gift", "amount": 200}]
    found = stated("airline", "book_reservation", payment_methods=mixed)
    has(found, payment_kinds_ok=True, balances_cover=False, certificate_value_lost_cents=40000)
    cards = [{"payment_id": "card", "amount": 65}] * 2
    has(stated("airline", "book_reservation", payment_methods=cards), payment_kinds_ok=False)
    theirs = [{"payment_id": "theirs", "amount": 130}]
    has(stated("airline", "book_reservation", payment_methods=theirs), payment_in_profile=False)


def test_a_method_is_called_by_what_only_it_has() -> None:
    card = {"source": "credit_card", "brand": "visa", "last_four": "1234"}
    methods: dict[str, Any] = {
        "card_1": card,
        "card_2": {"source": "credit_card", "brand": "visa", "last_four": "9876"},
        "gift_1": {"source": "gift_card", "amount": 120.0},
        "cert_1": {"source": "certificate", "amount": 120.0},
    }
    assert wallet.called(methods, "card_1") == ["1234", "card_1"]
    assert wallet.called(methods, "gift_1") == ["gift card", "gift_1"]
    assert wallet.called({"card_1": card}, "card_1") == ["1234", "card_1", "credit card", "visa"]
    assert wallet.called(methods, "theirs") == wallet.called(methods, None) == []
    assert [wallet.choices(methods, cents) for cents in (-500, 12_000, 12_001)] == [3, 3, 2]
    assert wallet.fresh_money(methods, [("cert_1", 12_000), ("card_1", 500), ("x", 7)]) == 507


@pytest.mark.parametrize(
    ("name", "dob", "fits_record"),
    [
        ("Ada", "1990-01-01", True),
        ("ADA", "1990-01-01", True),
        ("Ada", "1990-10-01", False),
        ("Mary", "1970-01-01", True),
    ],
)
def test_a_known_traveller_has_the_birth_date_on_record(
    name: str, dob: str, fits_record: bool
) -> None:
    people = [{"first_name": name, "last_name": "Byron", "dob": dob}]
    has(stated("airline", "book_reservation", passengers=people), birth_dates_fit=fits_record)


def test_money_for_a_change_names_its_method_and_the_choices() -> None:
    found = stated("airline", "update_reservation_flights", payment_id="gift")
    has(found, payment_called=["$120", "gift", "gift card"], payment_choices=1)
    has(stated("airline", "book_reservation"), fresh_money_cents=13_000)


@pytest.mark.parametrize(
    ("membership", "status", "amount", "eligible", "plausible"),
    [
        ("regular", "cancelled", 100, False, False),
        ("silver", "cancelled", 100, True, True),
        ("silver", "cancelled", 50, True, False),
        ("gold", "delayed", 50, True, True),
        ("gold", "available", 100, True, False),
    ],
)
def test_a_certificate_follows_from_a_disruption(
    membership: str, status: str, amount: int, eligible: bool, plausible: bool
) -> None:
    world = tiny_airline()
    world["users"]["ada"]["membership"] = membership
    world["flights"]["F1"]["dates"]["2024-05-20"]["status"] = status
    found = stated("airline", "send_certificate", world, amount=amount)
    has(found, compensation_eligible=eligible, certificate_amount_plausible=plausible)
    has(found, amount_cents=amount * 100, amount_kind="credit", certificates_held=1)
    assert found.get("certificate_for") == ("R1" if plausible else None)


def test_money_is_whole_cents() -> None:
    assert [cents(v) for v in (0.1 + 0.2, True, "5", float("nan"), 10**400)] == [30, *[None] * 4]
    assert [money(v) for v in (0, 5, -123456)] == ["$0.00", "$0.05", "-$1,234.56"]
