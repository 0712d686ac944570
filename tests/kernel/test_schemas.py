"""A schema from outside is usable or refused; trying one never raises and takes bounded time."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.kernel.exactjson import loads
from apps.kernel.schemas import MOST_LETTERS, compiled, misfit, schema_problems

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
BOUND_S = 5.0


def nested(keyword: str, levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = {keyword: [inner] if keyword == "allOf" else inner}
    return inner


def lists(levels: int, value: Any = ()) -> Any:
    value = list(value)
    for _ in range(levels):
        value = [value]
    return value


def doubling(levels: int) -> dict[str, Any]:
    parts: dict[str, Any] = {
        f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$defs": {**parts, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    ("schema", "path", "says"),
    [
        ([], (), "A schema is an object"),
        (None, (), "A schema is an object"),
        ("string", (), "A schema is an object"),
        ({"type": 5}, ("type",), "5 is not"),
        ({"properties": {"a": {"type": "strnig"}}}, ("properties", "a", "type"), "strnig"),
        ({"minimum": 5, "exclusiveMinimum": True}, ("exclusiveMinimum",), "True is not"),
        ({"required": "a"}, ("required",), "is not of type 'array'"),
        ({"maximum": float("nan")}, ("maximum",), "no JSON value"),
        ({"$schema": "http://127.0.0.1:9/meta"}, ("$schema",), "no version of JSON Schema"),
        ({"$schema": 7}, ("$schema",), "no version of JSON Schema"),
        (
            {"properties": {"a": {"$schema": DRAFT_7, "pattern": "a"}}},
            ("properties", "a", "$schema"),
            "another version",
        ),
        ({"properties": {"a": {"$id": "http://h/x"}}}, ("properties", "a", "$id"), "of its own"),
        ({"$schema": DRAFT_4, "items": {"id": "x"}}, ("items", "id"), "of its own"),
        ({"items": {"$ref": "http://h/x"}}, ("items", "$ref"), "points outside"),
        ({"$ref": "file:///etc/passwd"}, ("$ref",), "points outside"),
        ({"$ref": "other.json#/a"}, ("$ref",), "points outside"),
        ({"$dynamicRef": "http://h/x#y"}, ("$dynamicRef",), "points outside"),
        ({"$ref": "#/$defs/nothing"}, ("$ref",), "points at nothing"),
        ({"$ref": "#nothing"}, ("$ref",), "points at nothing"),
        ({"$ref": "#"}, (), "refers to itself"),
        ({"$dynamicAnchor": "x", "$dynamicRef": "#x"}, (), "refers to itself"),
        (
            {"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
            ("$defs", "a"),
            "refers to itself",
        ),
        (doubling(40), (), "more than 5,000 times"),
        (nested("items", 100_000, {}), ("items",) * 6, "nested too deeply"),
        (nested("allOf", 40, {}), ("allOf", 0) * 3, "nested too deeply"),
        ({"properties": {str(i): {} for i in range(10_001)}}, (), "more than 10,000 parts"),
        ({"pattern": "^(?=.*[A-Z]).+$"}, ("pattern",), "looks around"),
        ({"patternProperties": {"(a": {}}}, ("patternProperties", "(a"), "never closed"),
        ({"propertyNames": {"pattern": r"(a)\1"}}, ("propertyNames", "pattern"), "refers back"),
        ({"$defs": {"a": {"pattern": "*"}}}, ("$defs", "a", "pattern"), "repeats nothing"),
        (
            {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
            ("unevaluatedProperties",),
            "beside",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_place_and_fix(
    schema: Any, path: tuple[str | int, ...], says: str
) -> None:
    started = time.process_time()

    (found, *_) = schema_problems(schema)

    assert (found.path, says in found.message) == (path, True), found
    assert found.fix
    assert "can't be used" in misfit(schema, "a" * 71 + "b")
    assert time.process_time() - started < BOUND_S


@pytest.mark.parametrize(
    ("schema", "fits", "differs"),
    [
        (True, 1, None),
        (
            {"properties": {"n": {"pattern": r"^[\p{L}\p{N} ._-]+$"}}},
            {"n": "Ana"},
            {"n": "Ana <b>"},
        ),
        ({"properties": {"n": {"pattern": "(a|aa)+$"}}}, {"n": "a" * 71}, {"n": "a" * 71 + "b"}),
        ({"propertyNames": {"pattern": "^(a|aa)+$"}}, {"a" * 71: 1}, {"a" * 71 + "b": 1}),
        (
            {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
            {"x1": "a"},
            {"x1": "a", "y": 1},
        ),
        ({"patternProperties": {"^x": {"type": "string"}}}, {"y": 1}, {"x": 1}),
        ({"$schema": DRAFT_4, "minimum": 5, "exclusiveMinimum": True}, 6, 5),
        ({"$schema": DRAFT_7, "items": [{"type": "string"}]}, ["a"], [1]),
        ({"$schema": DRAFT_7, "definitions": {"a": {"$id": "#b"}}, "$ref": "#b"}, 1, None),
        (
            {"$id": "http://127.0.0.1:9/", "$defs": {"a": {"type": "null"}}, "$ref": "#/$defs/a"},
            None,
            1,
        ),
        ({"$defs": {"a/b c": {"type": "null"}}, "$ref": "#/$defs/a~1b%20c"}, None, 1),
        ({"$dynamicRef": "#x", "$defs": {"a": {"$dynamicAnchor": "x", "type": "null"}}}, None, 1),
        ({"properties": {"x": {"$ref": "#"}}, "required": ["x"]}, {"x": {"x": 1}}, {"x": {}}),
        ({"properties": {"$ref": {"type": "string"}}}, {"$ref": "http://h/"}, {"$ref": 5}),
        ({"enum": [{"$ref": "http://127.0.0.1:9/x"}]}, {"$ref": "http://127.0.0.1:9/x"}, {}),
        ({"format": "regex"}, "((", None),
        ({"$schema": DRAFT_7, "format": "email"}, "no address", None),
        ({"type": "integer"}, 60000.0, 0.5),
        ({"type": "integer"}, 10**400, True),
        ({"type": "integer"}, Decimal("6e4"), Decimal("6.1")),
        ({"const": 1}, 1.0, True),
        ({"maximum": 2**53}, 2**53, 2**53 + 1),
        ({"multipleOf": 0.01}, 19.99, 19.995),
        ({"minimum": 0.1}, Decimal("0.10000000000000000001"), Decimal("0.09999999999999999999")),
        ({"exclusiveMaximum": Decimal("0.10000000000000000001")}, 0.1, 0.2),
        ({"multipleOf": 0.01}, 10**400, Decimal("0.001")),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], [{"a": 1}, {"a": 1.0}]),
        ({"type": "number"}, 0, float("nan")),
        ({}, 0, [float("inf")]),
        ({}, lists(60), lists(110)),
        ({}, 0, lists(100_000)),
        ({"maxLength": 1}, "\ud800", "\ud800\0x"),
        ({"additionalProperties": False}, {}, {"\ud800\0": 1}),
        (nested("not", 62, {"type": "null"}), None, 1),
    ],
)
def test_a_value_fits_or_is_told_what_is_wrong(schema: Any, fits: Any, differs: Any) -> None:
    assert not schema_problems(schema)
    assert misfit(schema, fits) == ""
    if differs is not None:
        told = misfit(schema, differs)
        assert told
        assert len(told.encode()) < 8 * MOST_LETTERS
        assert "\0" not in told


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"properties": {"x": {"$ref": "#"}}}]},
            nested("x", 40, {}),
        ),
        ({"type": "array", "anyOf": [{"items": {"$ref": "#"}}] * 2}, lists(50, [1])),
        ({"items": {"pattern": "a"}}, ["a"] * 100_000),
        (
            {"patternProperties": {f"^k{n}$": {} for n in range(4_000)}},
            {f"k{n}": 2**70 for n in range(5_000)},
        ),
        (
            {
                "patternProperties": {f"^q{n}$": {} for n in range(4_000)},
                "additionalProperties": {},
            },
            {f"k{n}": 2**70 for n in range(5_000)},
        ),
        (
            {
                "properties": {"x": {"$ref": "#"}},
                "anyOf": [{"unevaluatedProperties": {"$ref": "#"}}] * 3,
                "unevaluatedProperties": False,
            },
            nested("x", 30, {}),
        ),
    ],
)
def test_trying_a_value_takes_bounded_time(schema: Any, value: Any) -> None:
    started = time.process_time()

    assert "too large to be tried" in misfit(schema, value)
    assert time.process_time() - started < BOUND_S


@pytest.mark.parametrize("schema", [True, False, {"type": "string"}, {"type": ["null", "array"]}])
def test_a_schema_of_arguments_takes_an_object(schema: Any) -> None:
    assert schema_problems(schema) == []
    (found,) = schema_problems(schema, of_object=True)
    assert found.fix


def test_many_odd_items_are_told_apart_in_linear_time() -> None:
    started = time.process_time()

    items = [{"a": [i]} for i in range(20_000)]
    assert misfit({"uniqueItems": True, "items": {"minProperties": 1}}, [*items, {"a": [7.0]}])
    assert time.process_time() - started < BOUND_S


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"enum": [*range(5_000)]}}, [4_999] * 18_000),
        ({"items": {"enum": [{"k": n} for n in range(3_000)]}}, [{"k": 2_999}] * 8_000),
        ({"anyOf": [*({"const": [n]} for n in range(2_400)), {"minItems": 1}]}, [0] * 9_000),
    ],
)
def test_long_lists_of_values_cost_no_more_than_one_look(schema: Any, value: Any) -> None:
    """An integer of more than 64 bits has the exact validator try all of it."""
    started = time.process_time()

    assert misfit({"properties": {"a": schema}}, {"a": value, "b": 2**70}) == ""
    assert time.process_time() - started < BOUND_S


@pytest.mark.parametrize("several", ["anyOf", "oneOf"])
def test_parts_that_do_not_fit_keep_no_copies_of_the_value(several: str) -> None:
    value = [*["x" * 80] * 1_000, 2**70]
    schema = {several: [*[{"type": "string"}] * 500, {"type": "object"}]}
    tracemalloc.start()
    try:
        assert misfit(schema, value)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_values_are_told_apart_on_every_level() -> None:
    several = [
        True,
        ["bool", 1],
        1,
        ["part", 0],
        [],
        {},
        [[]],
        [{}],
        "1",
        None,
        {"a": 1},
        {"a": True},
    ]
    assert misfit({"uniqueItems": True}, [*several, 2**70]) == ""
    for n, one in enumerate(several):
        others = [*several[:n], *several[n + 1 :]]
        assert misfit({"contains": {"enum": [one]}}, [one, 2**70]) == ""
        assert misfit({"contains": {"enum": others}}, [one, 2**70])
    assert misfit({"uniqueItems": True}, [{"a": [1.0, {}]}, 2**70, {"a": [1, {}]}])


@pytest.fixture
def witness() -> Iterator[tuple[str, list[object]]]:
    """An address at which somebody writes down who came."""
    heard: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    heard.append(server.accept()[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/schema.json", heard
        time.sleep(0.1)
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "place",
    [
        lambda url: {"$ref": url},
        lambda url: {"$dynamicRef": f"{url}#a"},
        lambda url: {"$schema": url},
        lambda url: {"$id": url, "$ref": "other.json"},
        lambda url: {"properties": {"a": {"$id": url, "$ref": "#/b"}}},
        lambda url: {"definitions": {"a": {"items": [{"$ref": url}]}}},
        lambda url: {"$schema": DRAFT_7, "dependencies": {"a": {"$ref": url}}},
        lambda url: {"$schema": DRAFT_4, "id": url, "$ref": "x.json#/a"},
        lambda url: {"$ref": "#/x", "x": {"$ref": url}},
        lambda url: {"const": {"$ref": url}, "allOf": [{"enum": [{"$id": url}]}]},
    ],
)
def test_nothing_is_ever_fetched(place: Any, witness: tuple[str, list[object]]) -> None:
    url, heard = witness
    schema = place(url)

    schema_problems(schema)
    misfit(schema, {"a": 1})

    assert heard == []


def test_no_file_is_ever_read(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "string"}')

    assert "points outside" in misfit({"$ref": (tmp_path / "schema.json").as_uri()}, 1)


KEYWORDS = [
    "type", "properties", "items", "required", "enum", "const", "$ref", "$defs", "allOf", "anyOf",
    "not", "if", "then", "pattern", "patternProperties", "propertyNames", "additionalProperties",
    "minimum", "multipleOf", "maxLength", "uniqueItems", "contains", "$id", "$schema", "$anchor",
    "$dynamicRef", "unevaluatedProperties", "prefixItems", "dependentSchemas", "format", "minItems",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(10**18, 10**25)
    | st.floats()
    | st.sampled_from(
        ["", "a", "string", "object", "#", "#/$defs/a", "(a|aa)+$", "(?=a)", "x" * 99]
    )
    | st.sampled_from(["http://127.0.0.1:9/", DRAFT_7, "\0", "\ud800", "__proto__"])
)
NAMES = st.sampled_from([*KEYWORDS, "a", "b", "__proto__", "\0", "\ud800"])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYWORDS), ANYTHING, min_size=1, max_size=5), ANYTHING)
def test_whatever_is_sent_as_a_schema_is_judged(schema: dict[str, Any], value: Any) -> None:
    problems = schema_problems(schema)
    told = misfit(schema, value)

    assert all(p.message and p.fix for p in problems)
    assert not problems or told
    told.encode()


PLAIN = st.recursive(
    st.sampled_from(
        [
            {},
            {"type": "string"},
            {"type": "integer"},
            {"enum": [1, "a", None]},
            {"minimum": 1},
            {"maxLength": 1},
            {"type": ["null", "boolean"]},
            {"required": ["a"]},
        ]
    ),
    lambda inner: (
        st.builds(lambda a: {"properties": {"a": a}, "additionalProperties": False}, inner)
        | st.builds(lambda a: {"items": a}, inner)
        | st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner)
        | st.builds(lambda a: {"not": a}, inner)
        | st.builds(lambda a, b: {"allOf": [a, b], "maxProperties": 1}, inner, inner)
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "bb", 1.0, 1.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@given(PLAIN, VALUES)
def test_ordinary_schemas_mean_what_the_standard_says(schema: dict[str, Any], value: Any) -> None:
    fits = jsonschema.Draft202012Validator(schema).is_valid(value)

    assert (misfit(schema, value) == "") == fits
    assert (compiled(schema).misfits(value) == []) == fits


@pytest.mark.parametrize(
    ("schema", "fits", "differs"),
    [
        (
            {"type": "integer"},
            ["60000.0", "6e4", "1e400", "-0.0"],
            ["60000.5", '"60000"', "1e-400"],
        ),
        ({"type": "number"}, ["1e400", "0.12345678901234567890"], ['"1"', "true"]),
        ({"const": 60000}, ["60000.0", "6E+4"], ["60000.00000000000000000001", '"60000"']),
        (
            {"const": 0.1},
            ["1e-1", "0.10"],
            ["0.1000000000000000055511151231257827021181583404541015625"],
        ),
        ({"enum": [1, 10**30]}, ["1.0", "1e30"], ["true", "1000000000000000000000000000001"]),
        ({"multipleOf": 0.01}, ["19.99", "12345678901234567890.10"], ["19.995", "1e-400"]),
        ({"maximum": 10**20}, ["1e20", "99999999999999999999.9"], ["100000000000000000000.000001"]),
        ({"exclusiveMinimum": 0}, ["1e-400"], ["-0.0", "0e5", "-1e-400"]),
        (
            {"uniqueItems": True},
            ['[1, true, 1.5, "1"]'],
            ["[1, 1.0]", "[1e30, 1000000000000000000000000000000]"],
        ),
    ],
)
def test_a_number_is_tried_by_its_value(schema: Any, fits: list[str], differs: list[str]) -> None:
    assert [misfit(schema, loads(text)) for text in fits] == [""] * len(fits)
    assert all(misfit(schema, loads(text)) for text in differs)
    assert "Decimal" not in misfit(schema, loads(differs[-1]))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"maxLength": 2}, "ab12"),
        ({"maxLength": 2}, 'it\'s "so"\nlong ' * 100),
        ({"type": "string"}, {"below": ["ab12", 7]}),
        ({"type": "string"}, 1987),
        ({"enum": ["x"]}, "ab12"),
        ({"const": "x"}, "ab12"),
        ({"pattern": "^x"}, "ab12"),
        ({"maximum": 2}, 1987),
        ({"multipleOf": 2}, 1987),
        ({"anyOf": [{"type": "null"}]}, "ab12"),
        ({"oneOf": [{"type": "null"}]}, "ab12"),
        ({"not": {"type": "string"}}, "ab12"),
        ({"uniqueItems": True}, ["ab12", "ab12"]),
        ({"prefixItems": [True], "items": False}, ["ab12", "ab13"]),
        ({"prefixItems": [True], "unevaluatedItems": False}, ["ab12", "ab13"]),
        ({"contains": {"type": "null"}}, ["ab12"]),
        ({"propertyNames": {"maxLength": 2}}, {"ab12": 1}),
        ({"minProperties": 3}, {"x": "ab12"}),
        (False, "ab12"),
    ],
)
def test_what_may_not_be_quoted_is_not_in_the_sentence(schema: Any, value: Any) -> None:
    made = compiled({"properties": {"dob": schema}})

    said = made.misfit({"dob": value, "n": 1}, quoted={"dob": "⟦⟧", "n": 1})

    assert said.startswith(("dob: it does not fit “", "arguments: not allowed"))
    assert not any(part in said for part in ("ab1", "1987", "so\\", "long"))


def test_names_and_what_may_be_quoted_stay_in_the_sentence() -> None:
    made = compiled({"required": ["name"], "properties": {"n": {"maximum": 2}}})
    quoted = {"dob": "⟦⟧", "n": 7}

    assert "'name' is a required" in made.misfit({"dob": "ab12", "n": 1}, quoted=quoted)
    assert "7 is greater" in made.misfit({"dob": "ab12", "n": 7, "name": ""}, quoted=quoted)
