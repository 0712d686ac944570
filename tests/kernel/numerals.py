"""Numbers and values from outside, in every spelling, for property tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
digits = st.text("0123456789", min_size=1, max_size=60)


@st.composite
def literals(draw: st.DrawFn) -> str:
    """The JSON text of a number."""
    whole = draw(digits).lstrip("0") or "0"
    rest = draw(st.one_of(st.just(""), digits.map(".{}".format)))
    power = draw(
        st.one_of(
            st.just(""),
            st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 700)),
        )
    )
    return f"{draw(st.sampled_from(['', '-']))}{whole}{rest}{power}"


@st.composite
def spellings(draw: st.DrawFn, text: str) -> str:
    """Another JSON text of the same number."""
    sign, figures, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    added = draw(st.integers(0, 5))
    shown = "".join(map(str, figures)) + "0" * added
    at = draw(st.integers(1, len(shown)))
    whole, rest = shown[:at].lstrip("0") or "0", shown[at:]
    power = exponent - added + len(rest)
    mark = draw(st.sampled_from(["e", "E", "E+" if power >= 0 else "E"]))
    return f"{'-' if sign else ''}{whole}{f'.{rest}' if rest else ''}{mark}{power}"


floats = st.floats(allow_nan=False, allow_infinity=False)
long_integers = st.integers(10**4299, 10**4300 - 1) | st.integers(-(10**40), 10**40)


def parsed_values(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON values as somebody else's parser gives them."""
    return st.recursive(
        st.none() | st.booleans() | texts | numbers,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


FORMS = {
    "wei": "1e18",
    "id": "12345678901234567890",
    "long": "7" * 4300,
    "sum": "0.30000000000000004",
    "price": "1.10",
    "zero": "-0.0",
    "small": "1e-7",
    "exact": "123456789012345.123456789012345",
    "negative": "-98765432109876.543210987654321",
    "whole": "60000.0",
    "exponent": "6E+4",
    "hidden": "0.1000000000000000055511151231257827021181583404541015625",
    "tiny": "1e-400",
    "huge": "1.5e400",
    "cents": "45.20",
}
"""Numbers of every form, by name, as JSON writes them."""

DOCUMENT = "{" + ", ".join(f'"{name}": {text}' for name, text in FORMS.items()) + "}"
