"""What is typed into the search field is read as people mean it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.searching import MOST_TERMS, Term, terms

WHOLE = "01900000-0000-7000-8000-00000cd49e28"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", ()),
        ("   ", ()),
        ("Aarav NQNU5R", (Term("Aarav"), Term("NQNU5R"))),
        ("#W5199551", (Term("W5199551"),)),
        ("#", (Term("#"),)),
        ("run 0cd49e28", (Term("0cd49e28", "0cd49e28"),)),
        (f"Run {WHOLE}", (Term(WHOLE, WHOLE.replace("-", "")),)),
        ("run away", (Term("run"), Term("away"))),
        ("$4,986.00", (Term("$4,986.00", "", (498_600, 498_600)),)),
        ("4986.5", (Term("4986.5", "", (498_650, 498_650)),)),
        ("$6,178", (Term("$6,178", "", (617_800, 617_899)),)),
        ("3131", (Term("3131", "", (313_100, 313_199)),)),
        ("4,98", (Term("4,98"),)),
        ('"Mia Li" cancel', (Term("Mia Li"), Term("cancel"))),
        ('"open', (Term('"open'),)),
    ],
)
def test_words_ids_and_amounts(typed: str, wanted: tuple[Term, ...]) -> None:
    assert terms(typed) == wanted


@given(st.text(max_size=300))
def test_anything_may_be_typed(typed: str) -> None:
    found = terms(typed)

    assert len(found) <= MOST_TERMS
    assert all(term.text.strip() for term in found)
