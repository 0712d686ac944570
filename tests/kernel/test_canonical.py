from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.canonical import canonical_bytes, digest

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict) -> None:
    turned = dict(reversed(list(value.items())))

    assert canonical_bytes(turned) == canonical_bytes(value)


@given(values)
def test_a_digest_made_for_one_purpose_does_not_pass_for_another(value: object) -> None:
    assert digest(value, purpose="a") != digest(value, purpose="b")


def test_rfc_8785_sorts_by_utf_16_code_units() -> None:
    # RFC 8785, 3.2.3: the euro sign sorts before the emoji, whose surrogates start at 0xD83D.
    assert canonical_bytes({"\U0001f600": 1, "€": 2}) == '{"€":2,"\U0001f600":1}'.encode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(anything)
def test_every_value_is_written_as_the_reference_writes_it(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # whatever the reference says
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == expected


@pytest.mark.parametrize("value", [2**53, float("nan"), float("inf")])
def test_what_json_can_not_carry_exactly_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"representable|domain|NaN|float|Infinity|integer"):
        canonical_bytes(value)
