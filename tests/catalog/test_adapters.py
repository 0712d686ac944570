from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

from apps.catalog import adapters
from apps.kernel.errors import UnavailableError


def test_a_server_is_asked_for_its_schemas() -> None:
    server = MCPServer("toys")

    @server.tool()
    def refund(order_id: str, reason: str = "") -> str:
        return f"{order_id} {reason}"

    schemas = adapters.input_schemas(server, slug="toys")

    assert schemas["refund"]["required"] == ["order_id"]


def test_a_server_that_is_down_is_named() -> None:
    with pytest.raises(UnavailableError, match="“toys” can't be asked for its tools"):
        adapters.input_schemas("http://127.0.0.1:9/mcp", slug="toys")


@pytest.mark.parametrize("entry", ["http://x/mcp", {"url": "http://x/mcp"}])
def test_an_address_comes_from_settings_then_the_file_then_the_pack(
    entry: object, tmp_path: Path, settings: Any
) -> None:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"toys": entry}))
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, str(file)

    assert adapters.address("toys", "http://pack/mcp") == "http://x/mcp"
    assert adapters.address("games", "http://pack/mcp") == "http://pack/mcp"
    settings.TOOL_SERVERS = {"toys": "http://set/mcp"}
    assert adapters.address("toys") == "http://set/mcp"
    file.write_text("not json")
    with pytest.raises(UnavailableError, match="TOWER_TOOL_SERVERS"):
        adapters.address("games")
