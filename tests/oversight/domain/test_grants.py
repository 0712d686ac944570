"""No request outside the bounds of a grant is covered by it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.exactjson import same
from apps.oversight.domain.binding import exact
from apps.oversight.domain.grant_typing import cents, typed, value_words
from apps.oversight.domain.grants import (
    ANY,
    EQUAL,
    ONE_OF,
    PINS,
    RANGE,
    CoverableCall,
    FieldBound,
    GrantBounds,
    bounds_fault,
    kind_of,
    misses,
    number_of,
)

RULE = {"id": "r", "effect": "forbid", "roles": ["operator"], "votes": 1, "risk": 2}
BOUND = {
    "v": 1,
    "tool": "toys/refund",
    "tool_fingerprint": "f",
    "contract_digest": "c",
    "policy_digest": "p",
    "agent": "a:1",
    "subject": "ada",
    "arguments": {"order": "W1", "cents": 5},
    "run_id": "x",
    "context": {"world": "main"},
    "server": "http://toys",
}
CALL = CoverableCall("toys/refunds@1", BOUND, (RULE,), risk=2, votes=1, amount_cents=500)
BOUNDS = GrantBounds(
    id="g",
    source="s",
    pins={name: CALL.pinned(name) for name in PINS},
    policy="toys",
    rules=("r",),
    fields=tuple(FieldBound(name, EQUAL, (value,)) for name, value in CALL.fields.items()),
    least_cents=0,
    most_cents=1_000,
    count=3,
    hours=4,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9, max_value=9),
    st.text("05ab é", max_size=3),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$", max_size=3), inner),
    max_leaves=6,
)


def with_bound(**changes: Any) -> CoverableCall:
    return replace(CALL, bound={**BOUND, **changes})


def what(call: CoverableCall, bounds: GrantBounds = BOUNDS) -> list[str]:
    return [miss.what for miss in misses(bounds, call)]


def test_the_very_request_is_covered() -> None:
    assert what(CALL) == []


@pytest.mark.parametrize("pin", sorted(set(PINS) - {"job"}))
def test_another_version_is_not_covered(pin: str) -> None:
    assert pin in what(with_bound(**{pin: "another"}))


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, job="toys/refunds@2"),
        replace(CALL, risk=3),
        replace(CALL, votes=2),
        replace(CALL, amount_cents=None),
        replace(CALL, amount_cents=1_001),
        replace(CALL, amount_cents=-1),
        replace(CALL, amount_cents=True),
        replace(CALL, flags=("hidden characters",)),
        replace(CALL, rules=()),
        replace(CALL, rules=(RULE, {**RULE, "id": "other"})),
        replace(CALL, rules=({"id": "r", "reason": "a doubt", "observed": [], "roles": ["x"]},)),
        replace(CALL, rules=({**RULE, "grants": "never"},)),
        replace(CALL, rules=({**RULE, "passkey": True},)),
        replace(CALL, rules=({**RULE, "votes": 2},)),
        replace(CALL, rules=({**RULE, "risk": 3},)),
        replace(CALL, rules=({**RULE, "unknown": [{"name": "own"}]},)),
        replace(CALL, rules=({**RULE, "effect": "permit"},)),
        replace(CALL, rules=(RULE, "odd")),
        with_bound(edited={"number": 1}),
        with_bound(unknown=[{"name": "own"}]),
        with_bound(live=["otherwise"]),
        with_bound(branches=["x"]),
        with_bound(plan={}),
        with_bound(votes=2),
        with_bound(what_a_later_release_binds=1),
        with_bound(arguments=None),
        with_bound(arguments={"order": "W1"}),
        with_bound(arguments={"order": "W1", "cents": 5, "more": 1}),
        with_bound(arguments={"order": "W1", "cents": "5"}),
        with_bound(arguments={"order": "W1", "cents": None}),
        with_bound(context={}),
        with_bound(context={"world": "other"}),
        with_bound(subject="eve"),
    ],
)
def test_what_differs_in_one_thing_is_not_covered(call: CoverableCall) -> None:
    assert what(call) != []


@given(value=json_values, arguments=st.booleans())
def test_equal_means_the_same_json_value(value: Any, arguments: bool) -> None:
    bound = FieldBound("x", EQUAL, (exact(5),))
    assert bound.allows(exact(value)) == same(exact(value), 5)


@given(one=json_values, other=json_values)
def test_one_of_allows_its_values_and_no_other(one: Any, other: Any) -> None:
    bound = FieldBound("x", ONE_OF, (exact(one), exact("a")))
    is_one = same(exact(other), exact(one)) or same(exact(other), "a")
    assert bound.allows(exact(other)) == is_one


@given(value=json_values, least=st.integers(-9, 9), size=st.integers(0, 9))
def test_a_range_allows_numbers_within_it_and_nothing_else(
    value: Any, least: int, size: int
) -> None:
    bound = FieldBound("x", RANGE, (least, least + size))
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    assert bound.allows(exact(value)) == (is_number and least <= value <= least + size)


@given(value=json_values, other=json_values)
def test_any_allows_its_type_only(value: Any, other: Any) -> None:
    bound = FieldBound("x", ANY, kind=kind_of(exact(value)))
    assert bound.allows(exact(other)) == (kind_of(exact(other)) == kind_of(exact(value)))


@given(
    order=json_values,
    amount=st.one_of(st.none(), st.integers(-2_000, 2_000)),
    extra=st.dictionaries(st.sampled_from(["cents", "note"]), json_values),
)
def test_whatever_is_covered_is_within_every_bound(
    order: Any, amount: int | None, extra: dict[str, Any]
) -> None:
    fields = [one for one in BOUNDS.fields if not one.name.startswith("arguments.")]
    fields += [
        FieldBound("arguments.order", ONE_OF, ("W1", "W2")),
        FieldBound("arguments.cents", RANGE, (0, 9)),
    ]
    bounds = replace(BOUNDS, fields=tuple(fields))
    call = replace(
        with_bound(arguments=exact({"order": order, "cents": 5, **extra})), amount_cents=amount
    )
    if not misses(bounds, call):
        found = call.bound["arguments"]
        assert set(found) == {"order", "cents"}
        assert found["order"] in ("W1", "W2")
        assert 0 <= number_of(found["cents"]) <= 9
        assert amount in range(1_001)


def test_a_number_is_its_value_and_text_is_none() -> None:
    five = FieldBound("x", EQUAL, (exact(5),))
    assert five.allows(exact(5.0))
    assert five.allows(exact(Decimal("5.00")))
    assert not five.allows(exact("5"))
    assert not FieldBound("x", EQUAL, (1,)).allows(True)


def test_bounds_come_back_as_they_were_stored_or_not_at_all() -> None:
    stored = BOUNDS.to_json()
    assert GrantBounds.from_json(stored) == BOUNDS
    for name, value in (
        ("count", 51),
        ("count", 0),
        ("hours", 25),
        ("most_cents", "9"),
        ("rules", []),
        ("pins", {}),
        ("v", 2),
        ("fields", [{"name": "x", "takes": "all", "values": [], "kind": ""}]),
        ("fields", "none"),
        ("fields", [{"name": ["x"], "takes": "any", "values": [], "kind": "text"}]),
        ("fields", [{"name": 5, "takes": "any", "values": [], "kind": "text"}]),
        ("fields", [{"name": "x", "takes": "any", "values": [], "kind": 5}]),
    ):
        with pytest.raises(ValueError, match="bound"):
            GrantBounds.from_json({**stored, name: value})
    with pytest.raises(ValueError, match="read"):
        GrantBounds.from_json(None)
    assert bounds_fault(BOUNDS) == ""


@pytest.mark.parametrize(
    ("value", "takes", "text", "values"),
    [
        (5, RANGE, "0 to 500", (0, 500)),
        (5, RANGE, "-1 to 5.50", (-1, {"$float": "5.5"})),
        (5, ONE_OF, "5\n\n6.0", (5, 6)),
        ("5", ONE_OF, "5\n6", ("5", "6")),
        ("W1", ONE_OF, "W2", ("W2", "W1")),
        ("W1", EQUAL, "ignored", ("W1",)),
        ("W1", ANY, "", ()),
    ],
)
def test_what_people_type_becomes_a_bound_of_the_type_of_the_field(
    value: Any, takes: str, text: str, values: tuple[Any, ...]
) -> None:
    assert typed("x", value, takes, text).values == values


@pytest.mark.parametrize(
    ("value", "takes", "text"),
    [
        (5, RANGE, "9 to 1"),
        (5, RANGE, "1"),
        (5, RANGE, "one to two"),
        (5, ONE_OF, "five"),
        ("a", RANGE, "0 to 1"),
        (None, ANY, ""),
        ("a", ONE_OF, "x" * 201),
        ("a", ONE_OF, "\n".join(map(str, range(51)))),
    ],
)
def test_what_makes_no_bound_is_refused_in_words(value: Any, takes: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        typed("x", value, takes, text)


def test_amounts_are_typed_to_the_cent() -> None:
    assert cents("$1,240.50") == 124_050
    assert (cents(" 1240.5 "), cents("$ 0"), cents("10,000,000,000")) == (124_050, 0, 10**12)
    for wrong in ("-1", "1.005", "NaN", "much", "1e99", "1e999999", "10000000000.01", ""):
        with pytest.raises(ValueError, match="amount"):
            cents(wrong)


@pytest.mark.parametrize("text", ["1,50", "12,34.5", "1,2,3", ",500", "1_000", "٣", "$$5"])
def test_an_amount_that_may_mean_another_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        cents(text)


def test_text_is_told_apart_from_a_number() -> None:
    assert (value_words("5"), value_words(5), value_words(exact(5.5))) == ("“5”", "5", "5.5")
