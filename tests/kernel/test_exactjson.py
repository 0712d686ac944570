from __future__ import annotations

import json
import math
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.kernel import exactjson
from apps.kernel.exactjson import NotCarriedError, check, dumps, loads, number, number_text, same
from tests.kernel.numerals import (
    DOCUMENT,
    FORMS,
    floats,
    literals,
    long_integers,
    parsed_values,
    spellings,
    texts,
)

anything = parsed_values(floats | st.integers() | literals().map(Decimal))


def exact(value: exactjson.Number) -> Decimal:
    return Decimal(number_text(value))


@given(literals())
def test_a_number_keeps_its_value_to_the_last_digit(text: str) -> None:
    found = loads(text)

    assert exact(found) == Decimal(text)
    assert Decimal(dumps(found)) == Decimal(text)


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,14})?([eE]-?[0-9]{1,3})?", fullmatch=True))
def test_a_short_number_is_read_as_a_long_one_is(text: str) -> None:
    found = loads(text)

    assert (type(found), found) == (type(number(text)), number(text))
    assert exact(found) == Decimal(text)


@given(literals(), st.data())
def test_equal_numbers_are_one_value_however_they_are_spelled(text: str, data: Any) -> None:
    other = data.draw(spellings(text))

    assert same(loads(text), loads(other))
    assert type(loads(text)) is type(loads(other))
    assert same(check(Decimal(text)), loads(other))


@given(literals(), literals())
def test_numbers_that_differ_are_never_the_same(one: str, other: str) -> None:
    assume(Decimal(one) != Decimal(other))

    assert not same(loads(one), loads(other))


@given(floats)
def test_a_float_stands_for_its_shortest_text(value: float) -> None:
    assert exact(check(value)) == Decimal(repr(value))
    assert same(check(value), loads(json.dumps(value)))


@given(long_integers)
def test_integers_of_any_permitted_length_are_carried(value: int) -> None:
    assert loads(str(value)) == value
    assert check(value) == value
    assert json.loads(dumps([value])) == [value]


@given(anything)
def test_what_was_checked_needs_no_other_check(value: Any) -> None:
    once = check(value)

    assert same(check(once), once)
    assert same(loads(dumps(once)), once)
    assert same(exactjson.read_stored(dumps(once)), once)


@given(texts)
def test_text_is_never_taken_for_a_number(text: str) -> None:
    assert loads(json.dumps(text)) == text
    assert check(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60000.0", 60000),
        ("6e4", 60000),
        ("1E+2", 100),
        ("0.1e-2", 0.001),
        ("-0.0", 0),
        ("-0", 0),
        ("0e999999999999999999", 0),
        ("1.10", 1.1),
        ("1e400", 10**400),
        ("1e-400", Decimal("1E-400")),
        ("5e-324", 5e-324),
        ("4.9e-324", Decimal("4.9E-324")),
        ("12345678901234567890", 12345678901234567890),
        ("1e23", 10**23),
        ("123456789012345.123456789012345", Decimal("123456789012345.123456789012345")),
        ("1." + "0" * 100_000, 1),
        ("9" * 4300, int("9" * 4300)),
    ],
)
def test_each_form_becomes_the_one_of_its_value(text: str, value: object) -> None:
    found = loads(text)

    assert (type(found), found) == (type(value), value)
    assert math.copysign(1, float(found) if abs(found) < 1 else 1) == 1


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('{"a": [1, {"b": NaN}]}', "a[1].b", "NaN, which is no number"),
        ('{"a": -Infinity}', "a", "-Infinity, which is no number"),
        ('{"wei": 1e4300}', "wei", "more than 4,300 digits"),
        ('{"wei": 1e999999999}', "wei", "more than 4,300 digits"),
        ('{"wei": 1e-99999999999999999999}', "wei", "more than 4,300 digits"),
        ('{"wei": ' + "9" * 4301 + "}", "wei", "more than 4,300 digits"),
        ('{"wei": ' + "9" * 1_000_000 + "}", "wei", "more than 4,300 digits"),
        ('{"wei": 0.' + "1" * 4301 + "}", "wei", "more than 4,300 digits"),
        ('{"name": "\\ud800"}', "name", "half a surrogate pair"),
        ('{"name": ["a\\u0000b"]}', "name[0]", "NUL"),
        ('{"a": {"\\udc00": 1}}', "a", "half a surrogate pair"),
        ('{"a": 1, "a": 2}', "", "the key 'a' twice"),
        ("[" * 5000 + "]" * 5000, "", "nested more than 100 levels"),
        ('{"a": 1', "", "is no JSON"),
        ("", "", "is no JSON"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_place_and_reason(
    text: str, path: str, words: str
) -> None:
    with pytest.raises(NotCarriedError) as caught:
        loads(text)

    assert caught.value.path == path
    assert words in str(caught.value)
    assert caught.value.detail["fix"]


def test_a_text_that_does_not_end_takes_no_time() -> None:
    began = time.process_time()
    with pytest.raises(NotCarriedError, match="no JSON"):
        loads('[1e9, "' + '\\"' * 200_000)
    assert time.process_time() - began < 2, "searched again from each quote it took minutes"


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    deep = exactjson.MAX_DEPTH
    assert loads("[" * deep + "]" * deep)
    assert loads("[" + "[]," * 200 + "1]")[-1] == 1
    with pytest.raises(NotCarriedError, match="levels"):
        loads("[" * (deep + 1) + "]" * (deep + 1))
    with pytest.raises(NotCarriedError, match="11 bytes; 10 are the most"):
        loads('"123456789"', most_bytes=10)
    with pytest.raises(NotCarriedError, match="UTF-8"):
        loads(b'"\xff"')
    with pytest.raises(NotCarriedError, match="UTF-8"):
        loads('"\ud800"')


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": float("nan")}, "a is NaN"),
        ({"a": float("inf")}, "a is Infinity"),
        ({"a": Decimal("NaN")}, "a is NaN"),
        ({"a": Decimal("-Infinity")}, "a is -Infinity"),
        ({"a": 10**4300}, "a is a number of more than"),
        ({"a": Decimal("1E+999999")}, "a is a number of more than"),
        ({"a": {1: 2}}, "a has a key that is no text"),
        ({"a": "\ud800"}, "a has half a surrogate pair"),
        ({"a": object()}, "a is a object, which JSON"),
        ({"\ud800": float("nan")}, r"has half a surrogate pair|\\ud800"),
    ],
)
def test_a_value_parsed_elsewhere_is_held_to_the_same(value: object, words: str) -> None:
    with pytest.raises(NotCarriedError, match=words) as caught:
        check(value)
    str(caught.value).encode()  # can itself be stored and shown


def test_a_value_without_end_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotCarriedError, match="levels") as caught:
        check(loop)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "0.0000001"),
        (10**21, "1" + "0" * 21),
        (1.1, "1.1"),
        (Decimal("1E-9"), "0.000000001"),
        (60000, "60000"),
        (60000.0, "60000"),
        (-0.0, "0"),
    ],
)
def test_people_read_a_number_in_full(value: exactjson.Number, text: str) -> None:
    assert number_text(value) == text


def test_true_is_no_number_and_is_not_one() -> None:
    assert not exactjson.is_number(True)
    assert not same(True, 1)
    assert not same([0], [False])
    hidden = Decimal.from_float(0.1)
    assert hidden == 0.1  # to Python
    assert not same(check(hidden), 0.1)


def test_all_known_forms_survive_text_and_back() -> None:
    found = loads(DOCUMENT)

    assert {k: exact(v) for k, v in found.items()} == {k: Decimal(t) for k, t in FORMS.items()}
    assert same(loads(dumps(found, indent=True, sort_keys=True)), found)


def test_no_number_but_jsons_is_read() -> None:
    for text in ("٣", "1_000", "0x10", "+1", " 1", "1.", ""):
        with pytest.raises(NotCarriedError):
            number(text)


def test_only_values_of_ours_are_written() -> None:
    with pytest.raises(TypeError):
        dumps({"a": object(), "b": 2**70})


@pytest.mark.parametrize("depth", [199, exactjson.STORED_DEPTH, 201, 300, 990, 100_000])
@pytest.mark.parametrize(
    ("before", "after"), [("[", "]"), ('{"a]\\"[":', "}"), ("[1,", ',{"b":[2]}]')]
)
def test_a_row_is_read_however_deeply_it_is_nested(depth: int, before: str, after: str) -> None:
    found = exactjson.read_stored(before * depth + "7" + after * depth)

    assert dumps(found)  # it can be written and shown
    levels = 0
    while isinstance(found, dict | list):
        inner = list(found.values()) if isinstance(found, dict) else found
        found, levels = inner[1 if len(inner) == 3 else 0], levels + 1
    assert levels == min(depth, exactjson.STORED_DEPTH)
    left = depth - levels
    assert found == (before * left + "7" + after * left if left else 7)


def test_what_is_acted_upon_is_read_as_it_was_written_or_not_at_all() -> None:
    assert exactjson.read_whole('{"a": [1.50, 12345678901234567890]}') == {
        "a": [Decimal("1.5"), 12345678901234567890]
    }
    for depth in (exactjson.MAX_DEPTH + 1, exactjson.STORED_DEPTH + 1, 100_000):
        with pytest.raises(exactjson.NotCarriedError, match="levels"):
            exactjson.read_whole("[" * depth + "]" * depth)


@pytest.mark.parametrize("number", ["1e4299", "1E+4299", "-7.5e004000", "1e-4299"])
def test_short_spellings_of_long_numbers_count_as_long_as_they_are(number: str) -> None:
    """A small text of them would else take minutes and gigabytes to read, keep and send."""
    started = time.process_time()

    with pytest.raises(NotCarriedError) as refused:
        loads(f'{{"a": [{",".join([number] * 10_000)}]}}')

    assert refused.value.code == "too_large"
    assert time.process_time() - started < 1
    assert len(loads(f"[{','.join([number] * 900)}]")) == 900


def test_what_looks_like_a_number_in_a_text_is_a_text() -> None:
    told = ["5e4000" * 50_000, '\\"5e4000' * 10_000, "1e9"]
    assert loads(json.dumps(told)) == told
    assert loads(f"[{'1.5e10,' * 100_000}1]")[-1] == 1
