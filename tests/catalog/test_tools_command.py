"""``manage.py tools check`` says of a server what is missing, and calls nothing that changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from django.core.management import CommandError, call_command

from tests.catalog.serving import Toys, hints, serving, tool

Call = Callable[[str, dict[str, Any], dict[str, Any]], types.CallToolResult]
PREVIEW = {
    "type": "object",
    "properties": {
        "tool": {"type": "string"},
        "args": {"type": "object"},
        "then": {"type": "array"},
    },
    "required": ["tool", "args"],
}


def of(entry: dict[str, Any]) -> dict[str, Any]:
    """A schema of arguments with this one in it."""
    return {"type": "object", "properties": {"a": entry}}


def answer(data: Any = None, *, text: str = "done", error: bool = False, **meta: Any) -> Any:
    said = [types.TextContent(text=text)]
    return types.CallToolResult(
        content=said, structured_content=data, is_error=error, _meta=meta or None
    )


def check(toys: Toys, *options: str) -> tuple[dict[tuple[str, str], list[str]], int, str]:
    """The states by tool and item, how it ended, and the whole report."""
    out, ended = StringIO(), 0
    try:
        call_command("tools", "check", toys.url, *options, "--json", stdout=out)
    except SystemExit as left:
        ended = int(left.code or 0)
    states: dict[tuple[str, str], list[str]] = {}
    for line in json.loads(out.getvalue())["lines"]:
        states.setdefault((line["tool"], line["item"]), []).append(line["state"])
        assert line["state"] == "ok" or line["fix"] or line["item"] in {"calls", "call", "sessions"}
    return states, ended, out.getvalue()


class Desk:
    """How the tools answer, well or badly."""

    def __init__(self, **faults: bool) -> None:
        self.faults, self.done, self.called = faults, {}, []

    def __call__(self, name: str, args: dict[str, Any], meta: dict[str, Any]) -> Any:
        self.called.append(name)
        key = meta.get("idempotency_key", "")
        if name == "refund":
            old = self.done.get(key)
            if old and not self.faults.get("forgets"):
                return answer({"n": old}, replayed=True)
            self.done[key] = len(self.called)
            return answer({"n": len(self.called)})
        if name == "tower_preview":
            said = [{"refusal": None} for _ in args.get("then", ())]
            then = {"then": said} if said and not self.faults.get("sees_nothing_ahead") else {}
            return answer("nothing" if self.faults.get("mute") else {"changes": [], **then})
        if name == "tower_lookup":
            known = args["idempotency_key"] in self.done or self.faults.get("knows_all", False)
            return answer({"found": known and not self.faults.get("knows_none")})
        if (name == "find_order" and "order_id" not in args) or name.startswith("tower-check"):
            return answer(text="no", error=not self.faults.get("takes_all"))
        return answer()


def tools() -> list[types.Tool]:
    return [
        tool("find_order", "order_id", annotations=hints(read_only_hint=True)),
        tool("refund", "order_id", annotations=hints(read_only_hint=False)),
        tool("tower_preview", input_schema=PREVIEW),
        tool("tower_lookup", "idempotency_key"),
    ]


@pytest.fixture
def args(tmp_path: Path) -> str:
    (tmp_path / "args.json").write_text('{"order_id": "A1"}')
    return str(tmp_path / "args.json")


def test_a_good_server_passes_and_nothing_that_changes_is_called() -> None:
    desk = Desk()
    with serving(*tools()) as toys:
        toys.call = desk
        states, ended, _ = check(toys)

    assert ended == 0
    assert states["", "calls"] == ["not tried"]
    assert "refund" not in desk.called


def test_a_named_call_is_tried_twice_with_one_key(args: str) -> None:
    desk = Desk()
    with serving(*tools()) as toys:
        toys.call = desk
        states, ended, _ = check(toys, "--try", "refund", args)

    assert ended == 0
    assert desk.called.count("refund") == 2
    assert states["refund", "idempotency_key"] == ["ok"]
    assert states["tower_lookup", "look-up"] == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        ("forgets", ("refund", "idempotency_key")),
        ("mute", ("tower_preview", "preview")),
        ("sees_nothing_ahead", ("tower_preview", "preview")),
        ("knows_all", ("tower_lookup", "look-up")),
        ("knows_none", ("tower_lookup", "look-up")),
        ("takes_all", ("", "errors")),
        ("takes_all", ("find_order", "errors")),
    ],
)
def test_what_breaks_the_protocol_fails_the_check(
    fault: str, where: tuple[str, str], args: str
) -> None:
    with serving(*tools()) as toys:
        toys.call = Desk(**{fault: True})
        states, ended, _ = check(toys, "--try", "refund", args)

    assert ended == 1
    assert "wrong" in states[where]


@pytest.mark.parametrize(
    ("served", "item", "state"),
    [
        (tool("t", input_schema=of({"$ref": "http://127.0.0.1:9/x"})), "input_schema", "wrong"),
        (tool("t", input_schema=of({"type": "sting"})), "input_schema", "wrong"),
        (
            tool("t", input_schema=of({"pattern": "("})),
            "input_schema",
            "wrong",
        ),
        (tool("t", output_schema=of({"$ref": "file:///etc/passwd"})), "output_schema", "wrong"),
        (tool("t", description=""), "description", "advice"),
        (tool("t"), "hints", "advice"),
        (
            tool("t", annotations=hints(read_only_hint=True, destructive_hint=True)),
            "hints",
            "wrong",
        ),
        (tool("t" * 100), "name", "wrong"),
    ],
)
def test_what_a_tool_lacks_is_named(served: types.Tool, item: str, state: str) -> None:
    with serving(served) as toys:
        toys.call = Desk()
        states, ended, _ = check(toys)

    assert state in states[served.name, item]
    assert ended == (1 if state == "wrong" else 0)


def test_a_token_comes_from_a_variable_and_is_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DESK_TOKEN", "s3cret-canary")
    with serving(*tools()) as toys:
        toys.token, toys.call = "s3cret-canary", Desk()
        with pytest.raises(CommandError, match="token_env"):
            check(toys)
        _, ended, report = check(toys, "--token-env", "DESK_TOKEN")

    assert ended == 0
    assert "s3cret-canary" not in report


@pytest.mark.parametrize("url", ["ftp://x", "http://169.254.169.254/mcp", "http://127.0.0.1:9/mcp"])
def test_a_server_that_cannot_be_asked_is_told_in_words(url: str) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("tools", "check", url)

    assert len(str(caught.value)) > 20


def test_the_report_for_people_says_what_to_do() -> None:
    out = StringIO()
    served = tool("t", input_schema=of({"$ref": "http://x/"}))
    with serving(served) as toys, pytest.raises(SystemExit):
        call_command("tools", "check", toys.url, stdout=out)

    assert "FAIL t: input_schema:" in out.getvalue()
