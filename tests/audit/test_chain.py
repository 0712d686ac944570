from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.chain import GENESIS, first_break, link

events = st.lists(st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3), min_size=1)


def chained(contents: list[dict]) -> list[tuple[int, str, dict]]:
    rows, previous = [], GENESIS
    for position, content in enumerate(contents, start=1):
        previous = link(previous, position, content)
        rows.append((position, previous, content))
    return rows


@given(events)
def test_an_untouched_chain_fits(contents: list[dict]) -> None:
    assert first_break(chained(contents)) is None


@given(events, st.data())
def test_an_edit_is_found_where_it_was_made(contents: list[dict], data: st.DataObject) -> None:
    rows = chained(contents)
    at = data.draw(st.integers(0, len(rows) - 1))
    position, stored, content = rows[at]
    rows[at] = (position, stored, {**content, "edited": 1})

    found = first_break(rows)

    assert found is not None
    assert found.position == position


@given(events, st.data())
def test_a_row_cut_from_the_middle_is_missed(contents: list[dict], data: st.DataObject) -> None:
    rows = chained([*contents, {"last": 1}])
    at = data.draw(st.integers(0, len(rows) - 2))
    del rows[at]

    found = first_break(rows)

    assert found is not None
    assert found.position == at + 1
