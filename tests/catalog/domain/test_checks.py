from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.checks import Diagnostic, findings, shape_problem
from apps.catalog.domain.schemadiff import differences
from apps.catalog.domain.served import ServedTool, ServedTools

SCHEMA = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string", "description": "Which order"},
        "amount": {"type": "number", "minimum": 0},
        "kind": {"enum": ["full", "half"]},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {}}}},
    },
    "required": ["order_id"],
}
PREVIEW = {
    "type": "object",
    "properties": {"tool": {"type": "string"}, "args": {"type": "object"}},
    "required": ["tool", "args"],
}
LOOKUP = {"type": "object", "properties": {"idempotency_key": {"type": "string"}}}


def pack_tool(**more: Any) -> dict[str, Any]:
    return {"name": "refund", "effect": "irreversible", "idempotency": "keyed", **more}


def serve(*others: ServedTool, twice: tuple[str, ...] = (), **refund: Any) -> ServedTools:
    tools = [ServedTool(**{"name": "refund", "input_schema": SCHEMA, **refund}), *others]
    return ServedTools({t.name: t for t in tools}, twice=twice)


def errors(found: list[Diagnostic]) -> list[tuple[str, str]]:
    return [(f.field, f.message) for f in found if f.is_error]


def warnings(found: list[Diagnostic]) -> list[tuple[str, str]]:
    return [(f.field, f.message) for f in found if not f.is_error]


def test_a_tool_that_is_what_its_server_says_has_no_findings() -> None:
    hints = {"readOnlyHint": False, "destructiveHint": True}
    served = serve(
        ServedTool("try", input_schema=PREVIEW),
        ServedTool("find", input_schema=LOOKUP, hints={"readOnlyHint": True}),
        hints=hints,
    )

    tool = pack_tool(preview="try", lookup="find", input_schema=SCHEMA)
    assert findings([tool], served) == []


@pytest.mark.parametrize(
    ("effect", "hints", "refused", "warned"),
    [
        ("read", {"readOnlyHint": False}, ["effect"], []),
        ("read", {"destructiveHint": True}, ["effect"], []),
        ("read", {"readOnlyHint": True, "destructiveHint": True}, [], []),
        ("read", {"readOnlyHint": True}, [], []),
        ("read", {}, [], []),
        ("write", {"readOnlyHint": True}, [], ["effect"]),
        ("draft", {"readOnlyHint": True}, [], ["effect"]),
        ("irreversible", {"readOnlyHint": True}, [], ["effect"]),
        ("write", {"destructiveHint": True}, [], ["effect"]),
        ("irreversible", {"destructiveHint": True}, [], []),
        ("write", {"idempotentHint": False}, [], ["idempotency"]),
        ("write", {"idempotentHint": True}, [], []),
    ],
)
def test_hints_that_contradict_the_pack_are_told_with_the_tool_and_the_property(
    effect: str, hints: dict[str, bool], refused: list[str], warned: list[str]
) -> None:
    found = findings([pack_tool(effect=effect)], serve(hints=hints))

    assert [field for field, _ in errors(found)] == refused
    assert [field for field, _ in warnings(found)] == warned
    assert all("“refund”" in f.message and f.fix for f in found)


def test_a_tool_without_idempotency_that_the_server_calls_idempotent_is_told() -> None:
    found = findings([pack_tool(idempotency="none")], serve(hints={"idempotentHint": True}))

    assert warnings(found)[0][0] == "idempotency"


def test_a_tool_that_is_not_served_or_served_twice_is_refused() -> None:
    found = findings([pack_tool(name="refnd"), pack_tool()], serve(twice=("refund",)))

    assert [f.field for f in found] == ["name", "name"]
    assert found[0].fix == "Did you mean “refund”?"
    assert "twice" in found[1].message


@pytest.mark.parametrize("key", ["preview", "lookup"])
@pytest.mark.parametrize(
    ("helper", "said"),
    [
        (None, "doesn't serve"),
        (ServedTool("other", input_schema={"additionalProperties": False}), "it takes no"),
        (ServedTool("other", input_schema={"properties": {"x": {}}}), "it takes no"),
        (
            ServedTool(
                "other",
                input_schema={
                    "properties": {
                        "tool": {"type": "array"},
                        "args": {},
                        "idempotency_key": {"type": "integer"},
                    }
                },
            ),
            "not string",
        ),
        (ServedTool("other", input_schema={"required": ["customer"]}), "it requires “customer”"),
        (ServedTool("other", hints={"readOnlyHint": False}), "changes something itself"),
    ],
)
def test_a_preview_or_look_up_that_is_missing_or_has_another_shape_is_refused(
    key: str, helper: ServedTool | None, said: str
) -> None:
    served = serve(*([helper] if helper else []))
    found = findings([pack_tool(**{key: "other"})], served)

    assert [f.field for f in found if f.is_error] == [key]
    assert said in found[0].message


def test_a_preview_that_the_pack_itself_calls_changing_is_refused() -> None:
    tools = [pack_tool(preview="other"), pack_tool(name="other", effect="write")]
    found = findings(tools, serve(ServedTool("other", input_schema=PREVIEW)))

    assert "changes something itself" in found[0].message


def stated(**properties: Any) -> dict[str, Any]:
    return {**SCHEMA, "properties": {**SCHEMA["properties"], **properties}}


@pytest.mark.parametrize(
    ("schema", "name", "said"),
    [
        (stated(currency={"type": "string"}), "currency", "is not known to the server"),
        (stated(order_id={"type": "integer"}), "order_id", "is integer, but the server"),
        (stated(kind={"enum": ["full", "none"]}), "kind", "offers “none”"),
        ({**SCHEMA, "required": []}, "order_id", "may be left out"),
        ({"type": "object", "properties": {}}, "order_id", "is missing, but the server"),
        (
            stated(lines={"type": "array", "items": {"properties": {"size": {}}}}),
            "lines.[].size",
            "is not known",
        ),
    ],
)
def test_a_stated_schema_that_lets_through_what_the_server_cannot_take_is_refused(
    schema: dict[str, Any], name: str, said: str
) -> None:
    found = findings([pack_tool(input_schema=schema)], serve())

    assert len(errors(found)) == 1
    field, message = errors(found)[0]
    assert field == "input_schema"
    assert f"{name} {said}" in message


@pytest.mark.parametrize(
    "schema",
    [
        stated(amount={"type": "integer", "minimum": 0}),
        stated(kind={"enum": ["full"]}),
        {**SCHEMA, "required": ["order_id", "amount"]},
        {k: v for k, v in SCHEMA.items() if k != "title"},
    ],
)
def test_a_narrower_stated_schema_is_fine(schema: dict[str, Any]) -> None:
    assert not findings([pack_tool(input_schema=schema)], serve())


def test_another_bound_than_the_servers_is_a_warning() -> None:
    found = findings([pack_tool(input_schema=stated(amount={"type": "number"}))], serve())

    assert [f.is_error for f in found] == [False]
    assert "amount has another “minimum”" in found[0].message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "required", "enum", "items", "$ref", "x"]),
            x,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "required", "enum"]), JSON), JSON)
def test_whatever_a_server_lists_as_a_schema_is_compared(stated: Any, served: Any) -> None:
    theirs = served if isinstance(served, dict) else {}

    assert differences(theirs, theirs) == [] or "$ref" in str(theirs)
    differences(stated, theirs)
    shape_problem(theirs, {"tool": "string"})


@pytest.mark.parametrize(
    ("properties", "is_refused"),
    [
        ({**PREVIEW["properties"], "then": {"type": "array"}}, False),
        (PREVIEW["properties"], True),
        ({**PREVIEW["properties"], "then": {"type": "string"}}, True),
    ],
)
def test_a_preview_that_is_said_to_look_ahead_has_to_take_a_plan(
    properties: dict[str, Any], is_refused: bool
) -> None:
    helper = ServedTool("try", input_schema={**PREVIEW, "properties": properties})
    found = findings([pack_tool(preview="try", preview_then=True)], serve(helper))

    assert [f.field for f in found if f.is_error] == ["preview_then"] * is_refused
