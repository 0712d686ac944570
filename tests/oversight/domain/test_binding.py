"""An approval is for one action only: any change makes another digest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.kernel.exactjson import check, dumps, loads, same
from apps.oversight.domain.binding import Grounds, binding, binding_digest, changed_fields, exact
from tests.kernel.numerals import literals, spellings, texts

FIELDS: dict[str, Any] = {
    "tool": "airline/cancel_reservation",
    "tool_fingerprint": "f1",
    "contract_digest": "c1",
    "policy_digest": "p1",
    "agent": "airline-reference:reference",
    "subject": "sofia_kim_7287",
    "arguments": {"reservation_id": "Q69X3R", "bags": 2},
    "run_id": "0190-run",
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
KEPT = "e588dfa47e1697fab8de0c4fabe1c3a38cfd7e1dd03bef05d52686f9e24aba7f"
ARGUMENTS = st.dictionaries(texts, JSON, max_size=4)


def digest_of(**changes: Any) -> str:
    return binding_digest(binding(**{**FIELDS, **changes}))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(field: str) -> None:
    other = {"other": 1} if field == "arguments" else "other"

    assert digest_of(**{field: other}) != digest_of()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (0, 0.1),
        (0.1, Decimal.from_float(0.1)),
        (0.5, "0.5"),
        (10**30, "1" + "0" * 30),
        (Decimal("1.00000000000000000001"), {"$decimal": "1.00000000000000000001"}),
        ("1", 1),
        (None, ""),
        (2**53 + 1, 2**53 + 2),
        (2**53 + 1, str(2**53 + 1)),
        (2**53 + 1, {"$int": str(2**53 + 1)}),
        (1.5, {"$float": "1.5"}),
        ("\u00e9", "e\u0301"),
        ([1, 2], [2, 1]),
        ({}, []),
        ("a", "a\u200b"),
    ],
)
def test_values_that_look_alike_differ(one: Any, other: Any) -> None:
    assert digest_of(arguments={"x": one}) != digest_of(arguments={"x": other})


@given(ARGUMENTS, ARGUMENTS)
def test_different_arguments_never_share_a_digest(one: dict[str, Any], other: Any) -> None:
    assume(not same(check(one), check(other)))

    assert digest_of(arguments=one) != digest_of(arguments=other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1000001.0, 1000001),
        (-0.0, 0),
        (0.0, 0),
        (6e4, Decimal("60000.00")),
        (1e18, 10**18),
        (Decimal("1.10"), 1.1),
        (1e23, 10**23),
    ],
)
def test_equal_numbers_share_an_approval(one: Any, other: Any) -> None:
    assert digest_of(arguments={"x": one}) == digest_of(arguments={"x": other})


@given(literals(), st.data())
def test_a_number_is_bound_by_its_value(text: str, data: Any) -> None:
    one, other = loads(f'{{"x": {text}}}'), loads(f'{{"x": {data.draw(spellings(text))}}}')

    assert digest_of(arguments=one) == digest_of(arguments=other)


def test_bindings_of_an_older_release_are_found_again() -> None:
    # Taken from the release before numbers were bound by value.
    assert digest_of(arguments={"n": 3, "rate": 0.5, "wei": 2**70, "tiny": 1e-7}) == KEPT


@given(ARGUMENTS)
def test_digest_survives_json_and_the_order_of_keys(arguments: dict[str, Any]) -> None:
    bound = binding(**{**FIELDS, "arguments": arguments})
    again = loads(dumps(dict(reversed(bound.items()))))

    assert binding_digest(again) == binding_digest(bound)


def test_the_tag_of_a_number_can_not_be_forged() -> None:
    assert exact({"$int": "7"}) == {"$$int": "7"}
    assert exact(2**53) == {"$int": "9007199254740992"}
    assert exact(1.5) == {"$float": "1.5"}


def test_changed_fields_are_named() -> None:
    old, new = binding(**FIELDS), binding(**{**FIELDS, "policy_digest": "p2"})

    assert changed_fields(old, new) == ["policy_digest"]


@pytest.mark.parametrize(
    ("asked", "now", "covered"),
    [
        ((["a", "b"], 5), (["a"], 5), True),
        ((["a"], 5), (["a"], 5), True),
        ((["a"], 5), (["a", "b"], 5), False),
        ((["a"], 5), (["a"], 6), False),
        ((["a"], None), (["a"], 6), False),
        ((["a"], 5), ([], 6), True),
        (([], 5), ([], 5), True),
    ],
)
def test_an_answer_is_one_to_what_was_asked(
    asked: tuple[list[str], int | None], now: tuple[list[str], int | None], covered: bool
) -> None:
    def grounds(rules: list[str], amount: int | None) -> Grounds:
        return Grounds.of([{"id": rule} for rule in rules], {"amount_cents": amount})

    assert grounds(*asked).covers(grounds(*now)) is covered
