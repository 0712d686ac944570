"""The database counts by the same table as the domain."""

from __future__ import annotations

from itertools import combinations

import pytest
from django.db.models import QuerySet

from apps.ops.selectors.runs import RunFilter
from apps.outcomes.domain.counting import BY_OUTCOME, CountsAs, counts_as, is_timed, shown_as
from apps.outcomes.selectors.counted import by_outcome, counted_as, shown, timed
from apps.outcomes.selectors.outcomes import TOLD
from apps.runs.domain.states import State
from apps.runs.models import Run
from tests.dashboards.rows import Shop

OUTCOMES = ("", "resolved", "handed_over", "denied", "cancelled")
KINDS = [kinds for n in range(1, 6) for kinds in combinations(CountsAs, n)]


@pytest.fixture
def every_kind(db: None) -> set[tuple[str, str]]:
    """One run of each state with each outcome."""
    shop = Shop()
    shop.job("refund")
    pairs = {(str(state), outcome) for state in State for outcome in OUTCOMES}
    for state, outcome in pairs:
        shop.runs(1, "refund", state=state, outcome=outcome)
    return pairs


def pairs_of(rows: QuerySet[Run]) -> list[tuple[str, str]]:
    return sorted(rows.values_list("state", "outcome"))


def test_conditions_are_made_from_the_table(every_kind: set[tuple[str, str]]) -> None:
    for kinds in KINDS:
        wanted = sorted(pair for pair in every_kind if counts_as(*pair) in kinds)

        assert pairs_of(Run.objects.filter(counted_as(*kinds))) == wanted
        assert pairs_of(RunFilter(counts_as=kinds).rows()) == wanted
    assert not Run.objects.filter(counted_as()).exists()
    found = pairs_of(Run.objects.filter(timed()))
    assert found == sorted(pair for pair in every_kind if is_timed(*pair))


def test_what_charts_show_is_made_from_the_table(every_kind: set[tuple[str, str]]) -> None:
    rows = Run.objects.annotate(shown=shown(), told=by_outcome())

    for state, outcome, word, told in rows.values_list("state", "outcome", "shown", "told"):
        assert word == shown_as(state, outcome)
        assert counts_as(state, TOLD[state] if told else "") is counts_as(state, outcome)
    assert len(TOLD) == len(BY_OUTCOME)
