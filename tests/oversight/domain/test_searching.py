"""What is typed into the search field is read as people mean it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.searching import MOST_TERMS, SearchTerm, terms

WHOLE = "01900000-0000-7000-8000-00000cd49e28"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", ()),
        ("   ", ()),
        ("Aarav NQNU5R", (SearchTerm("Aarav"), SearchTerm("NQNU5R"))),
        ("#W5199551", (SearchTerm("W5199551"),)),
        ("#", (SearchTerm("#"),)),
        ("run 0cd49e28", (SearchTerm("0cd49e28", "0cd49e28"),)),
        (f"Run {WHOLE}", (SearchTerm(WHOLE, WHOLE.replace("-", "")),)),
        ("run away", (SearchTerm("run"), SearchTerm("away"))),
        ("$4,986.00", (SearchTerm("$4,986.00", "", (498_600, 498_600)),)),
        ("4986.5", (SearchTerm("4986.5", "", (498_650, 498_650)),)),
        ("$6,178", (SearchTerm("$6,178", "", (617_800, 617_899)),)),
        ("3131", (SearchTerm("3131", "", (313_100, 313_199)),)),
        ("4,98", (SearchTerm("4,98"),)),
        ('"Mia Li" cancel', (SearchTerm("Mia Li"), SearchTerm("cancel"))),
        ('"open', (SearchTerm('"open'),)),
    ],
)
def test_words_ids_and_amounts(typed: str, wanted: tuple[SearchTerm, ...]) -> None:
    assert terms(typed) == wanted


@given(st.text(max_size=300))
def test_anything_may_be_typed(typed: str) -> None:
    found = terms(typed)

    assert len(found) <= MOST_TERMS
    assert all(term.text.strip() for term in found)
