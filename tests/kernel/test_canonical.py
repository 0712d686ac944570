from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.canonical import canonical_bytes, digest
from apps.kernel.exactjson import check, loads, same
from tests.kernel.numerals import literals, parsed_values, spellings

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
def test_what_the_reference_can_write_is_written_as_it_does(value: object) -> None:
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.IntegerDomainError, rfc8785.FloatDomainError):
        return
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # whatever the reference says
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == expected


@given(literals(), st.data())
def test_equal_numbers_have_equal_bytes_and_others_have_others(text: str, data: Any) -> None:
    value, again = loads(text), loads(data.draw(spellings(text)))
    other = loads(data.draw(literals()))

    assert canonical_bytes({"n": value}) == canonical_bytes({"n": again})
    assert same(value, other) == (canonical_bytes([value]) == canonical_bytes([other]))


@given(parsed_values(st.floats(allow_nan=False, allow_infinity=False) | literals().map(Decimal)))
def test_no_value_of_ours_is_refused(value: object) -> None:
    mine = check(value)

    assert same(loads(canonical_bytes(mine)), mine)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2**53, b"9007199254740992"),
        (10**18, b"1000000000000000000"),
        (12345678901234567890, b"12345678901234567890"),
        (10**21, b"1e+21"),  # the RFC's own, since a double carries it
        (10**21 + 1, b"1000000000000000000001"),
        (Decimal("123456789012345.123456789012345"), b"123456789012345.123456789012345"),
        (10**400, b"1" + b"0" * 400),
        (60000.0, b"60000"),
        (-0.0, b"0"),
        (1e-7, b"1e-7"),
    ],
)
def test_long_numbers_are_written_with_all_their_digits(value: object, written: bytes) -> None:
    assert canonical_bytes(value) == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2, "a": 2**70}, {2**70, 1}])
def test_what_is_no_value_of_json_is_refused(value: float) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_bytes(value)
