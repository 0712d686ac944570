from __future__ import annotations

import pytest

from apps.runs.domain.origin import Origin, is_self_told, origin_of


@pytest.mark.parametrize(
    ("source", "origin"),
    [("desk", "practice"), ("replay", "replay"), ("api", "real"), ("manual", "real"), ("", "real")],
)
def test_a_run_comes_from_where_it_was_started(source: str, origin: str) -> None:
    assert origin_of(source) == origin


def test_words_of_a_customer_are_self_told_where_real_work_follows_a_script() -> None:
    told = {(o, kind) for o in Origin for kind in ("model", "reference") if is_self_told(o, kind)}

    assert told == {(Origin.REAL, "reference")}
