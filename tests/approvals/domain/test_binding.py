"""An approval is for one action only: any change makes another digest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.approvals.domain.binding import binding, binding_digest, changed_fields, exact

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
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)


def digest_of(**changes: Any) -> str:
    return binding_digest(binding(**{**FIELDS, **changes}))


def typed(value: Any) -> Any:
    """Equality that tells 1, 1.0 and True apart."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((k, typed(v)) for k, v in value.items())))
    if isinstance(value, list):
        return ("list", tuple(typed(v) for v in value))
    return (type(value).__name__, repr(value))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(field: str) -> None:
    other = {"other": 1} if field == "arguments" else "other"

    assert digest_of(**{field: other}) != digest_of()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (0.0, -0.0),
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
    assume(typed(one) != typed(other))

    assert digest_of(arguments=one) != digest_of(arguments=other)


@given(ARGUMENTS)
def test_digest_survives_json_and_the_order_of_keys(arguments: dict[str, Any]) -> None:
    bound = binding(**{**FIELDS, "arguments": arguments})
    again = json.loads(json.dumps(dict(reversed(bound.items()))))

    assert binding_digest(again) == binding_digest(bound)


def test_the_tag_of_a_number_can_not_be_forged() -> None:
    assert exact({"$int": "7"}) == {"$$int": "7"}
    assert exact(2**53) == {"$int": "9007199254740992"}


def test_changed_fields_are_named() -> None:
    old, new = binding(**FIELDS), binding(**{**FIELDS, "policy_digest": "p2"})

    assert changed_fields(old, new) == ["policy_digest"]
