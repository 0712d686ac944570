"""Every compensation that a pack declares puts back what its tool changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.catalog.domain.contract import Compensation, parse
from apps.runs.domain.undo import Past, undoing_arguments
from controltower.practice.world.records import Context, SystemOfRecord
from tests.practice.world.conftest import tiny_airline, tiny_retail

PACKS = Path(__file__).resolve().parents[3] / "controltower" / "practice" / "packs"
HOME = {
    "address1": "1 Road", "address2": "Flat 2", "city": "London", "state": "NY",
    "country": "UK", "zip": "10001",
}  # fmt: skip
AWAY = {**HOME, "address1": "9 Street", "zip": "90210"}
DOES: dict[str, tuple[str, dict[str, Any]]] = {
    "modify_user_address": ("retail", {"user_id": "ada_byron_1", **AWAY}),
    "modify_pending_order_address": ("retail", {"order_id": "#P", **AWAY}),
    "update_reservation_passengers": (
        "airline",
        {
            "reservation_id": "R1",
            "passengers": [{"first_name": "Eda", "last_name": "Byron", "dob": "1990-01-01"}],
        },
    ),
    "book_reservation": (
        "airline",
        {
            "user_id": "ada", "origin": "JFK", "destination": "SEA", "flight_type": "one_way",
            "cabin": "economy", "flights": [{"flight_number": "F1", "date": "2024-05-20"}],
            "passengers": [{"first_name": "Ada", "last_name": "Byron", "dob": "1990-01-01"}],
            "payment_methods": [{"payment_id": "card", "amount": 0}], "total_baggages": 0,
            "nonfree_baggages": 0, "insurance": "no",
        },
    ),
}  # fmt: skip


def declared() -> list[tuple[str, str, Compensation]]:
    found = []
    for path in sorted(PACKS.glob("*/jobs/*.yaml")):
        contract = parse(path.read_text()).contract
        assert contract is not None, path
        found += [
            (path.stem, t.name, t.compensation)
            for t in contract.tools
            if t.compensation is not None
        ]
    return found


def test_the_packs_declare_what_can_be_undone() -> None:
    assert {tool for _, tool, _ in declared()} == set(DOES)


@pytest.fixture
def companies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, SystemOfRecord]:
    retail, airline = tiny_retail(), tiny_airline()
    retail["users"]["ada_byron_1"]["address"] = dict(HOME)
    retail["orders"]["#P"]["address"] = dict(HOME)
    made = {}
    for name, world in (("retail", retail), ("airline", airline)):
        monkeypatch.setattr(
            "controltower.practice.world.records.load_world", lambda _domain, w=world: w
        )
        made[name] = SystemOfRecord(name, tmp_path / f"{name}.sqlite")
    yield made  # type: ignore[misc]  # a fixture
    for system in made.values():
        system.close()


@pytest.mark.parametrize(
    ("tool", "undo"), [pytest.param(t, u, id=f"{job}-{t}") for job, t, u in declared()]
)
def test_a_declared_compensation_puts_it_back(
    tool: str, undo: Compensation, companies: dict[str, SystemOfRecord]
) -> None:
    domain, arguments = DOES[tool]
    company = companies[domain]
    if tool == "book_reservation":
        price = company._pristine["flights"]["F1"]["dates"]["2024-05-20"]["prices"]["economy"]
        arguments["payment_methods"][0]["amount"] = price
    context = Context("w")
    preview = json.loads(json.dumps(company.preview(tool, arguments, context)))
    answer = company.call(tool, arguments, context)
    step = Past(
        id=None,  # type: ignore[arg-type]  # not looked at
        seq=1, tool=tool, effect="write", state="succeeded", disposition="executed",
        arguments=arguments, preview=preview, result={"content": answer.text, "data": None},
    )  # fmt: skip

    company.call(undo.tool, undoing_arguments(step, undo), context)

    if undo.tool == "cancel_reservation":
        after = json.loads(answer.text)["reservation_id"]
        booked = company._world("w")["reservations"][after]
        assert booked["status"] == "cancelled"
        assert sum(p["amount"] for p in booked["payment_history"]) == 0
    else:
        again = company.preview(tool, arguments, context)
        assert again["before"] == preview["before"]
