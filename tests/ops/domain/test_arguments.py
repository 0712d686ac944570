"""A form made of a tool's schema gives back what was there, and what was typed, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.kernel import exactjson
from apps.ops.domain.arguments import ArgumentField, beside, fields_of, judged, read

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "description": "With the number sign"},
        "amount": {"type": "number", "minimum": 0},
        "count": {"type": "integer"},
        "express": {"type": "boolean"},
        "speed": {"enum": ["slow", "fast", None]},
        "to": {"type": "object", "properties": {"zip": {"type": "string"}}},
        "either": {"type": ["string", "null"]},
    },
    "required": ["order_id", "amount"],
}
ARGUMENTS = {"order_id": "#A17", "amount": 9007199254740993, "to": {"zip": "01"}, "beside": [1.10]}


def sent(fields: list[ArgumentField], **changes: str) -> dict[str, str]:
    """As a browser sends it, but for what is typed anew by name."""
    found = {}
    for number, field in enumerate(fields):
        found[f"v{number}"] = changes.get(field.name, field.typed).replace("\n", "\r\n")
        if field.is_given and not field.is_needed:
            found[f"g{number}"] = "on"
    return found


def test_each_argument_has_a_field_of_its_type() -> None:
    fields = fields_of(SCHEMA, ARGUMENTS)

    assert [(f.name, f.kind, f.typed, f.is_needed, f.is_given) for f in fields] == [
        ("order_id", "text", "#A17", True, True),
        ("amount", "number", "9007199254740993", True, True),
        ("count", "number", "", False, False),
        ("express", "yes_no", "", False, False),
        ("speed", "choice", "", False, False),
        ("to", "json", '{\n  "zip": "01"\n}', False, True),
        ("either", "json", "", False, False),
        ("beside", "json", "[\n  1.1\n]", False, True),
    ]
    assert fields[0].help == "With the number sign"


@pytest.mark.parametrize(
    "arguments",
    [
        ARGUMENTS,
        {"order_id": "a\nb  c ", "amount": Decimal("0.1234567890123456789012")},
        {"order_id": "\nfirst", "amount": 10**400},
        {"order_id": "carriage\rreturn\u202e\u00a0", "amount": -0.5},
        {"order_id": "", "amount": 0, "express": False, "speed": None, "either": None},
        {"order_id": ["of", {"another": "type"}], "amount": "12", "count": True},
        {"order_id": "<b>&quot;", "amount": 1, "": {"a": "\U0001f600\u200d"}},
    ],
)
def test_what_nobody_touched_comes_back_as_it_was(arguments: dict[str, Any]) -> None:
    fields = fields_of(SCHEMA, arguments)

    found, filled = read(fields, sent(fields))

    assert exactjson.same(found, arguments)
    assert not any(field.error for field in filled)


def test_nothing_that_hides_is_in_a_field() -> None:
    [field] = fields_of({}, {"to": ["\u202epaypal", "\u200b"]})
    assert field.typed == '[\n  "\\u202epaypal",\n  "\\u200b"\n]'


def test_what_is_typed_is_read_by_its_type() -> None:
    fields = fields_of(SCHEMA, ARGUMENTS)

    found, _ = read(
        fields,
        sent(fields, order_id="#B2", amount=" 12.50 ", count="1e3", express="true", speed='"fast"'),
    )

    assert found["order_id"] == "#B2"
    assert found["amount"] == 12.5
    assert (found["count"], found["express"], found["speed"]) == (1000, True, "fast")


def test_what_may_be_left_out_is_left_out() -> None:
    fields = fields_of(SCHEMA, ARGUMENTS)
    form = {k: v for k, v in sent(fields).items() if not k.startswith("g")}

    found, filled = read(fields, form)

    assert found == {"order_id": "#A17", "amount": 9007199254740993}
    assert filled[5].typed, "what stood there is kept"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"amount": "12,50"}, "amount: it is no number ('12,50')"),
        ({"amount": ""}, "amount: it is no number ('')"),
        ({"amount": "NaN"}, "amount: it is no number"),
        ({"amount": "1e99999"}, "amount: it is a number of more than 4,300 digits"),
        ({"to": "{zip: 1}"}, "to: it is no JSON"),
        ({"to": '{"a": 1, "a": 2}'}, "to: it "),
        ({"order_id": "\x00"}, "order_id: it "),
    ],
)
def test_an_error_names_its_field_and_keeps_what_was_typed(
    typed: dict[str, str], said: str
) -> None:
    fields = fields_of(SCHEMA, ARGUMENTS)

    _, filled = read(fields, sent(fields, **typed))

    [wrong] = [field for field in filled if field.error]
    assert wrong.error.startswith(said)
    assert wrong.typed == typed[wrong.name]


def test_the_schema_finds_what_is_wrong_in_each_field() -> None:
    arguments = {"order_id": "#A", "amount": -1, "to": {"zip": 5}}
    fields = fields_of({**SCHEMA, "minProperties": 9}, arguments)

    told, others = judged({**SCHEMA, "minProperties": 9}, arguments, fields)

    assert {f.name: f.error for f in told if f.error} == {
        "amount": "amount: -1 is less than the minimum of 0",
        "to": "to.zip: 5 is not of type 'string'",
    }
    assert len(others) == 1


def test_what_has_no_field_since_there_are_so_many_stays() -> None:
    many = {f"a{n:03}": n for n in range(250)}
    fields = fields_of({}, many)

    found, _ = read(fields, sent(fields))

    assert len(fields) == 200
    assert beside(fields, many) | found == many


@pytest.mark.parametrize("schema", [None, True, [], {"properties": 7}, {"properties": {"a": 7}}])
def test_a_schema_that_says_nothing_has_everything_as_json(schema: Any) -> None:
    [field] = fields_of(schema, {"a": "x"})
    assert (field.kind, field.typed, field.is_needed) == ("json", '"x"', False)
