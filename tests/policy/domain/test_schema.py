from __future__ import annotations

import pytest

from apps.policy.domain.schema import (
    ToolDeclaration,
    cedar_schema,
    declared_facts,
    may_lack_facts,
    with_limits,
)


def test_a_fact_that_may_be_absent_is_read_back_as_such() -> None:
    facts = {"owner": "string?", "cents": "long"}

    schema = cedar_schema([ToolDeclaration("t", "write", facts, "dry_run")])

    assert declared_facts(schema) == {"t": facts}
    assert may_lack_facts(schema) == {"t": True}


def test_declared_facts_are_read_back() -> None:
    facts = {"a": "bool", "b": "long", "c": "string", "d": "set"}

    schema = cedar_schema([ToolDeclaration("t", "write", facts), ToolDeclaration("r", "read")])

    assert declared_facts(schema) == {"t": facts, "r": {}}


def test_limits_are_added_to_a_copy() -> None:
    schema = cedar_schema([ToolDeclaration("t", "write")])

    limited = with_limits(schema, ["most"])

    assert limited[""]["commonTypes"]["Limits"]["attributes"] == {"most": {"type": "Long"}}
    assert schema[""]["commonTypes"]["Limits"]["attributes"] == {}


@pytest.mark.parametrize(
    "tool",
    [
        ToolDeclaration("t", "harmless"),
        ToolDeclaration("read", "read"),
        ToolDeclaration("t", "write", {"a": "float"}),
        ToolDeclaration("t", "write", {"a": "long??"}),
    ],
)
def test_an_impossible_tool_is_refused(tool: ToolDeclaration) -> None:
    with pytest.raises(ValueError, match=r"t|read"):
        cedar_schema([tool])
