"""What was wrong is named, with a way to mend it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.api.domain.problems import LISTED, Wrong, input_problems, pointer, problem

SCHEMA = {
    "type": "object",
    "properties": {"request": {"type": "string"}, "kind": {"enum": ["a", "b"]}},
    "required": ["request", "kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"request": "x", "kind": "a"}, []),
        ({}, ["/input/kind", "/input/request"]),
        ({"request": 1, "kind": "c"}, ["/input/kind", "/input/request"]),
        ({"request": "x", "kind": "a", "a/b~": 1}, ["/input/a~1b~0"]),
        ([], ["/input"]),
    ],
)
def test_every_difference_is_found_with_its_fix(value: Any, fields: list[str]) -> None:
    wrongs = input_problems(value, SCHEMA, at="input")

    assert [w.field for w in wrongs] == fields
    assert all(w.message and w.fix for w in wrongs)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/x"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$ref": "#"},
        {"properties": {"a": {"pattern": "(?=b)"}}},
        {"type": 5},
    ],
)
def test_a_published_input_that_cannot_be_used_takes_nothing_and_says_why(
    schema: dict[str, Any],
) -> None:
    (wrong,) = input_problems({"a": "b"}, schema, at="input")

    assert wrong.field == "/input"
    assert "schema can't be used" in wrong.message
    assert wrong.fix


def test_hostile_input_is_told_in_bounded_time_and_words() -> None:
    schema = {**SCHEMA, "properties": {"request": {"pattern": "^(a|aa)+$"}}}
    many = {f"key {n}": n for n in range(50_000)}
    started = time.process_time()

    wrongs = input_problems({"request": "a" * 71 + "\ud800b", "kind": "a", **many}, schema, at="in")

    assert {w.field for w in wrongs} >= {"/in/request"}
    assert len(wrongs) <= LISTED + 1
    assert all(len(w.message.encode()) < 2000 for w in wrongs)
    assert time.process_time() - started < 5


@given(st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=4))
def test_a_pointer_can_be_read_back(path: list[str | int]) -> None:
    parts = pointer(path).split("/")[1:]

    assert [p.replace("~1", "/").replace("~0", "~") for p in parts] == [str(p) for p in path]


@given(st.integers(1, 60))
def test_a_problem_lists_no_more_than_people_read(count: int) -> None:
    wrongs = [Wrong(f"/{n}", "wrong", "mend it") for n in range(count)]

    body = problem(422, "some_code", "Wrong.", wrongs=wrongs, retry_after=None)

    assert len(body["errors"]) == min(count, LISTED)
    assert (body["field"], body["fix"]) == ("/0", "mend it")
    assert body["type"] == "urn:control-tower:problem:some-code"
    assert "retry_after" not in body
