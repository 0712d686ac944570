"""What a small model is asked, and what its answer becomes."""

from __future__ import annotations

from typing import Any

from apps.calls.domain import constrained

CANCEL = {
    "name": "cancel",
    "description": "Cancel an order. It is final.",
    "schema": {
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "description": "The id"},
            "reason": {"type": "string", "enum": ["mistake"]},
            "item_ids": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string"},
        },
        "required": ["order_id", "reason", "item_ids"],
    },
}
LOOK = {"name": "look", "description": "Look it up.", "schema": {"type": "object"}}
ASK = {"role": "customer", "content": "Cancel #W1 for ada@example.org, please. I am ada_1."}


def result(tool: str, content: str = "{}") -> dict[str, Any]:
    return {"role": "tool", "id": "1", "tool": tool, "arguments": {"a": 1}, "content": content}


def offered(history: list[dict[str, Any]]) -> list[str]:
    turns = constrained.turn_schema([CANCEL, LOOK], history)["anyOf"]
    return [t["properties"].get("tool", t["properties"]["do"])["const"] for t in turns]


def test_it_looks_before_it_speaks_and_ends_with_words() -> None:
    assert offered([ASK]) == ["cancel", "look"]
    assert offered([ASK, result("look")]) == ["cancel", "say", "done"]
    assert offered([ASK, *[result("look")] * constrained.CALLS]) == ["say", "done"]


def test_ids_are_chosen_among_those_of_the_conversation() -> None:
    [cancel, _] = constrained.turn_schema([CANCEL, LOOK], [ASK])["anyOf"]

    arguments = cancel["properties"]["arguments"]["properties"]
    names = ["#W1", "ada@example.org", "ada_1"]
    assert arguments["order_id"] == {"enum": names}
    assert arguments["reason"] == {"type": "string", "enum": ["mistake"]}
    assert arguments["item_ids"]["items"] == {"enum": names}
    assert "note" not in arguments


def test_what_it_is_told_fits_its_memory() -> None:
    history = [{"role": "customer", "content": "x" * 9000}, *[result("look", "y" * 9000)] * 30]
    told = constrained.transcript(history)

    assert sum(len(text) for _, text in told) < 6500
    assert told[0] == ("user", "x" * constrained.REQUEST_CHARS)
    assert told[1][0] == "assistant"
    assert '"tool": "look"' in told[1][1]


def test_instructions_are_the_prompts_first_paragraph_and_a_line_a_tool() -> None:
    said = constrained.instructions("You serve\ncustomers.\n\n## Long rules", [CANCEL])

    assert said.startswith("You serve customers.\n\nTools:\n- cancel: Cancel an order\n")
    assert "Long rules" not in said


def test_turns_become_script_items() -> None:
    call = {"do": "call", "tool": "look", "arguments": {"a": 1}}
    assert constrained.items_of(call) == [{"call": {"tool": "look", "args": {"a": 1}}}]
    said = constrained.items_of({"do": "say", "text": "Hello"})
    assert said == [{"say": "Hello"}, {"done": "Hello"}]
    assert constrained.items_of({"do": "done", "summary": "All done"}) == [{"done": "All done"}]
