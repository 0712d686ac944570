"""How a pack says that recordings are read."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.domain.pack import parse_pack
from apps.catalog.domain.replaying import choose_job, job_problems

JOBS = [
    ("cancel", frozenset({"find", "drop"})),
    ("mixed", frozenset({"find", "drop", "book"})),
    ("look", frozenset({"find"})),
]
PACK = """
domain: {slug: d, name: D}
server: {slug: d}
tools:
  - {name: drop, effect: write}
replay:
"""


@pytest.mark.parametrize(
    ("mapping", "request_text", "job"),
    [
        ({}, "cancel it", "mixed"),
        ({"otherwise": "look"}, "cancel it", "look"),
        ({"otherwise": "gone"}, "cancel it", "mixed"),
        ({"jobs": [{"job": "cancel", "when": r"\bcancel"}]}, "Please CANCEL it", "cancel"),
        ({"jobs": [{"job": "cancel", "when": r"\bcancel"}]}, "book it", "mixed"),
        ({"jobs": [{"job": "gone", "when": "."}, {"job": "look", "when": "."}]}, "x", "look"),
        ({"jobs": [{"job": "cancel", "when": "("}], "otherwise": "look"}, "(", "look"),
    ],
)
def test_the_first_pattern_found_in_the_request_names_the_job(
    mapping: dict[str, Any], request_text: str, job: str
) -> None:
    assert choose_job(mapping, request_text, JOBS) == job


def test_without_jobs_there_is_none_to_choose() -> None:
    with pytest.raises(LookupError):
        choose_job({}, "cancel", [])


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("  tools: {cancel: dropp}", "“dropp” is none of this pack's tools"),
        ("  jobs: [{job: a, when: '('}]", "when"),
        ("  jobs: [{job: a}]", "when"),
        ("  recording: [x]", "recording"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused_with_its_place(section: str, said: str) -> None:
    pack, problems = parse_pack(PACK + section)

    assert pack is None
    assert any(said in f"{p.path} {p.message}" for p in problems)


def test_jobs_that_the_pack_lacks_are_named() -> None:
    pack, _ = parse_pack(PACK + "  otherwise: mixd\n  jobs: [{job: cancel, when: x}]")
    assert pack is not None

    found = job_problems(pack.source, ["mixed", "cancel"])

    assert [p.message for p in found] == ["There is no job “mixd” in this pack."]
    assert pack.replay["otherwise"] == "mixd"
