"""JSON that is typed is read or refused, and a refusal says where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.kernel import exactjson
from apps.kernel.documents import MAX_DEPTH, MAX_EXACT_CHARACTERS
from apps.kernel.jsontext import load_json
from tests.kernel.test_patching import texts, values

DEEP = "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ('{\n  "a": 1,\n}', 3, 1, "can't be read as JSON"),
        ('{\n  "a" 1}', 2, 7, "can't be read as JSON"),
        ("", 1, 1, "can't be read as JSON"),
        ('{"a": 1} x', 1, 10, "can't be read as JSON"),
        ('{"a": 1,\n "b": {"c": 1,\n   "c": 2}}', 3, 4, "written twice"),
        ('{"a": [{"a": 1}],\n "\\u0061": 2}', 2, 2, "written twice"),
        ('{"a": [1,\n  NaN]}', 2, 3, "NaN"),
        ('{"a": -Infinity}', 1, 7, "-Infinity"),
        (f'{{"a": 1e9,\n "b": 1{"0" * 5000}}}', 2, 7, "more than 4,300 digits"),
        ('{"a": "x",\n "b": "\\ud800"}', 2, 7, "half a surrogate pair"),
        ('{"a": "\\u0000"}', 1, 7, "NUL"),
        (f'{{"a":\n{DEEP}}}', 2, MAX_DEPTH + 1, "nested more than"),
        ("[" * 100_000, 1, MAX_DEPTH + 2, "nested more than"),
        ("1\n" * (MAX_EXACT_CHARACTERS // 2 + 1), MAX_EXACT_CHARACTERS // 2 + 1, 1, "longer than"),
    ],
)
def test_what_is_refused_is_named_with_its_place(
    text: str, line: int, column: int, said: str
) -> None:
    found = load_json(text)

    assert found.value is None
    (problem,) = found.problems
    assert (problem.line, problem.column) == (line, column), problem
    assert said in problem.message
    assert problem.fix


@settings(max_examples=150, deadline=None)
@given(values)
def test_what_is_read_has_its_value_and_places(value: Any) -> None:
    whole = exactjson.check(value)
    text = exactjson.dumps(whole, indent=True)

    found = load_json(text)

    assert exactjson.same(found.value, whole)
    for path, place in found.places.items():
        part = whole
        for step in path:
            part = part[step]
        rest = _from(text, place)
        assert exactjson.same(exactjson.check(json.JSONDecoder().raw_decode(rest)[0]), part), path


def _from(text: str, place: Any) -> str:
    lines = text.split("\n")
    return "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])


@settings(max_examples=150, deadline=None)
@given(st.text('{}[]:,"\\ \nab1', max_size=40) | texts)
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    found = load_json(text)

    assert (found.problems == []) == _is_json(text)


def _is_json(text: str) -> bool:
    try:
        exactjson.loads(text)
    except exactjson.NotCarriedError:
        return False
    return True
