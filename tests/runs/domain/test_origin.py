from __future__ import annotations

import pytest

from apps.runs.domain.origin import origin_of


@pytest.mark.parametrize(
    ("source", "origin"),
    [("desk", "practice"), ("replay", "replay"), ("api", "real"), ("manual", "real"), ("", "real")],
)
def test_a_run_comes_from_where_it_was_started(source: str, origin: str) -> None:
    assert origin_of(source) == origin
