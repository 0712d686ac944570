"""What a saved view keeps of an address."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.saved import MOST_CHARACTERS, PASSING, FiltersTooLongError, normalised

FIELDS = st.lists(
    st.tuples(st.sampled_from(["q", "state", "risk", "tab"]), st.text(max_size=20)), max_size=8
)


@given(FIELDS, st.randoms())
def test_the_same_filters_are_written_alike_in_whatever_order(
    fields: list[tuple[str, str]], random: object
) -> None:
    fields = [(name, value.encode(errors="replace").decode()) for name, value in fields]
    mixed = list(fields)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    kept = normalised(urlencode(fields))

    assert normalised(urlencode(mixed)) == kept
    assert normalised(f"?{kept}") == kept
    assert sorted(parse_qsl(kept)) == sorted((name, value) for name, value in fields if value)


@given(st.text(max_size=300))
def test_whatever_stands_in_an_address_is_kept_or_refused(query: str) -> None:
    try:
        kept = normalised(query)
    except FiltersTooLongError:
        return
    assert all(33 <= ord(letter) < 127 for letter in kept)
    assert normalised(kept) == kept


def test_where_somebody_stood_is_left_out() -> None:
    passing = urlencode(dict.fromkeys(PASSING, "x"))

    assert normalised(f"{passing}&state=failed&q=") == "state=failed"


def test_what_goes_without_saying_is_not_said() -> None:
    unsaid = {"tab": "waiting", "sort": "due"}

    assert normalised("tab=waiting&risk=4&sort=due", unsaid) == "risk=4"
    assert normalised("tab=mine&risk=4&sort=due", unsaid) == "risk=4&tab=mine"


@pytest.mark.parametrize(
    "query", ["q=" + "x" * MOST_CHARACTERS, "&".join(f"a{i}=1" for i in range(99))]
)
def test_what_no_page_asks_for_is_refused(query: str) -> None:
    with pytest.raises(FiltersTooLongError):
        normalised(query)
