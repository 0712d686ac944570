"""How many runs keep the version of a contract that they began with."""

from __future__ import annotations

import pytest

from apps.catalog import selectors as catalog
from apps.runs.domain.states import State
from tests.runs.conftest import Scene


@pytest.mark.django_db
def test_runs_that_have_not_ended_are_counted_by_the_version_that_they_follow(
    scene: Scene,
) -> None:
    for state in State:
        scene.run(state=state)
    scene.run(state="queued", contract_number=7)

    assert catalog.open_runs("shop-refund") == {1: 5, 7: 1}
    assert catalog.open_runs("no-such-job") == {}
