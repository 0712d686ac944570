"""When several requests may be decided in one table."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.kernel.moments import moment
from apps.oversight.domain import showing, together
from apps.oversight.domain.outliers import FarFact
from apps.oversight.domain.reading import PARTS
from apps.oversight.domain.together import RowRead

AT = moment("2026-01-01T12:00:00Z") or datetime.min  # noqa: DTZ901
READ = RowRead(2, frozenset(PARTS))


@pytest.mark.parametrize(
    ("rows", "after_s", "words"),
    [
        ([READ] * 3, 6, ""),
        ([READ] * 3, 5, "3 rows have to be read for 6 s. Approve in 1 s."),
        ([READ, RowRead(2, {"arguments", "changes"})], 60, "1 of 2 rows"),
        ([RowRead(1, frozenset(PARTS))] * 4, 3.5, "Approve in 1 s."),
        ([RowRead(1, frozenset(PARTS))] * 4, 4, ""),
        ([RowRead(1, frozenset())], 60, "1 of 1 rows"),
        ([READ, RowRead(3, frozenset(PARTS))], 60, "Above Medium"),
    ],
)
def test_all_is_read_as_long_as_the_sheets_would_be(
    rows: list[RowRead], after_s: float, words: str
) -> None:
    said = together.unread(rows, AT, AT + timedelta(seconds=after_s))
    assert (words in said) if words else said == ""


def test_facts_are_the_amount_and_each_value_by_its_place() -> None:
    listing = showing.listing({"id": "Q1", "bags": 2, "who": [{"age": 1.50}], "ok": True})
    assert together.facts_of(1250, listing) == {
        "the amount": Decimal(1250),
        "id": '"Q1"',
        "bags": Decimal(2),
        "who[0].age": Decimal("1.5"),
        "ok": "true",
    }
    assert "the amount" not in together.facts_of(None, listing)


def test_no_argument_hides_the_amount_or_another_of_its_name() -> None:
    listing = showing.listing({"the amount": 5, "to.id": 1, "to": {"id": 2}})
    assert together.facts_of(90_000, listing) == {
        "the amount": Decimal(90_000),
        "the amount (2)": Decimal(5),
        "to.id": Decimal(1),
        "to.id (2)": Decimal(2),
    }


def test_a_number_that_was_cut_is_a_text() -> None:
    room = showing.MOST_CHARACTERS - 1 - len('a""')
    listing = showing.listing({"a": "x" * room, "b": -5})
    assert together.facts_of(None, listing)["b"] == "-"


@pytest.mark.parametrize(
    ("far", "words"),
    [
        (
            FarFact("the amount", Decimal(900000), Decimal(12000)),
            "Far from the rest: the amount is $9,000.00, the middle of all is $120.00.",
        ),
        (
            FarFact("to", '"x"' + "y" * 99, "not given"),
            f'Far from the rest: to is "x"{"y" * 57}…, of most it is not given.',
        ),
        (
            FarFact("n", Decimal("1e99999"), Decimal("2.50")),
            "Far from the rest: n is 1.000000e+99999, the middle of all is 2.5.",
        ),
    ],
)
def test_what_is_far_is_said_in_words(far: FarFact, words: str) -> None:
    assert together.far_words(far) == words


def test_a_table_is_of_one_tool_contract_policy_and_set_of_rules() -> None:
    bound = {"tool": "a/b", "tool_fingerprint": "f", "contract_digest": "c", "policy_digest": "p"}
    kind = together.kind_of(bound, [{"id": "one"}, {"id": "two"}])
    assert kind == together.kind_of(bound | {"arguments": 1}, [{"id": "two"}, {"id": "one"}])
    for name in bound:
        assert kind != together.kind_of(bound | {name: "other"}, [{"id": "one"}, {"id": "two"}])
    assert kind != together.kind_of(bound, [{"id": "one"}])
    assert together.kind_of({}, None) == together.kind_of({}, "nothing")
