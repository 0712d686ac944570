from __future__ import annotations

import asyncio
import json
import logging
import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import adapters
from apps.catalog.domain.servers import Source
from apps.catalog.models import ToolServer
from apps.kernel.errors import UnavailableError

CANARY = "s3cret-canary"


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Path:
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, str(tmp_path / "servers.json")
    return tmp_path / "servers.json"


def url(slug: str) -> tuple[str, Source]:
    found = adapters.look_up(slug)
    return found.url, found.source


@pytest.mark.django_db
def test_each_server_is_known_from_the_first_source_that_names_it(
    file: Path, settings: Any
) -> None:
    for slug in ("a", "b", "c"):
        ToolServer.objects.create(slug=slug, url="http://127.0.0.1:3/mcp")
    file.write_text(json.dumps(dict.fromkeys("ab", "http://127.0.0.1:2/mcp")))
    settings.TOOL_SERVERS = {"a": "http://127.0.0.1:1/mcp"}

    assert url("a") == ("http://127.0.0.1:1/mcp", Source.ENVIRONMENT)
    assert url("b") == ("http://127.0.0.1:2/mcp", Source.FILE)
    assert url("c") == ("http://127.0.0.1:3/mcp", Source.CATALOG)
    with pytest.raises(UnavailableError, match="TOWER_TOOL_SERVERS"):
        adapters.look_up("d")


@pytest.mark.django_db
def test_a_wrong_entry_stops_its_own_server_only_and_no_lower_source_speaks_for_it(
    file: Path, settings: Any
) -> None:
    ToolServer.objects.create(slug="a", url="http://127.0.0.1:3/mcp")
    settings.TOOL_SERVERS = {"a": {"url": "gopher://x"}, "b": "http://127.0.0.1:1/mcp"}
    file.write_text('{\n "c": {"url": "http://127.0.0.1:2/mcp",\n  "tokn": "x"}}')

    assert url("b") == ("http://127.0.0.1:1/mcp", Source.ENVIRONMENT)
    with pytest.raises(UnavailableError, match="TOWER_TOOL_SERVERS: a: “url” must begin"):
        adapters.look_up("a")
    with pytest.raises(UnavailableError, match=r"servers\.json, line 3: c: “tokn” is not a known"):
        adapters.look_up("c")


@pytest.mark.django_db
def test_an_unclosed_brace_in_the_file_stops_nobody_that_others_know(
    file: Path, settings: Any
) -> None:
    ToolServer.objects.create(slug="b", url="http://127.0.0.1:3/mcp")
    settings.TOOL_SERVERS = {"a": "http://127.0.0.1:1/mcp"}
    file.write_text('{"c": "http://127.0.0.1:2/mcp"')

    assert url("a")[1] is Source.ENVIRONMENT
    assert url("b")[1] is Source.CATALOG
    with pytest.raises(UnavailableError, match=r"servers\.json can't be read: line 1, column 31"):
        adapters.look_up("c")
    assert "servers.json" in adapters.problems()[0]


@pytest.mark.django_db
def test_the_file_is_read_again_when_it_changed_and_kept_while_it_is_broken(file: Path) -> None:
    file.write_text('{"c": "http://127.0.0.1:2/mcp"}')
    assert url("c")[0] == "http://127.0.0.1:2/mcp"
    file.write_text('{"c": "http://127.0.0.1:22/mcp"}')
    assert url("c")[0] == "http://127.0.0.1:22/mcp"
    file.write_text('{"c": "http://127.0')

    assert url("c")[0] == "http://127.0.0.1:22/mcp"
    assert "stays in force" in adapters.problems()[0]


@pytest.mark.django_db(transaction=True)
def test_the_address_of_a_pack_is_known_inside_an_event_loop(settings: Any) -> None:
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, ""
    ToolServer.objects.create(slug="loops", url="http://127.0.0.1:3/mcp")

    async def asked() -> str:
        return adapters.resolve("loops").url

    adapters.remember("loops")
    adapters.look_up("loops")
    assert asyncio.run(asked()) == "http://127.0.0.1:3/mcp"


@pytest.mark.parametrize("kind", ["token_env", "token_file", "token"])
def test_a_token_comes_from_the_environment_or_a_file_and_is_never_shown(
    kind: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", CANARY)
    (tmp_path / "token").write_text(f"{CANARY}\n")
    values = {"token_env": "DESK_TOKEN", "token_file": str(tmp_path / "token"), "token": CANARY}
    settings.TOOL_SERVERS = {"a": {"url": "https://t.example/mcp", kind: values[kind]}}

    found = adapters.resolve("a")

    assert found.headers == {"Authorization": f"Bearer {CANARY}"}
    assert CANARY not in repr(found)
    assert found.redacted(f"who is {CANARY}?") == "who is •••?"


def test_headers_come_from_the_environment(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_KEY", CANARY)
    headers = {"X-Api-Key": "DESK_KEY"}
    settings.TOOL_SERVERS = {"a": {"url": "https://t.example/mcp", "headers_from_env": headers}}

    assert adapters.resolve("a").headers == {"X-Api-Key": CANARY}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"token_env": "NOT_THERE"}, "“token_env” names the variable NOT_THERE, which is not set"),
        ({"token_env": "EMPTY"}, "EMPTY, which is empty"),
        ({"token_env": "BROKEN"}, "BROKEN, which holds characters"),
        ({"token_file": "/no/such/file"}, "“token_file” names /no/such/file, which can't be read"),
        ({"headers_from_env": {"X-Key": "NOT_THERE"}}, "“headers_from_env” names the variable"),
    ],
)
def test_a_secret_that_is_missing_or_broken_stops_its_server_only(
    entry: dict[str, Any], said: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("BROKEN", f"{CANARY}\x07{CANARY}")
    settings.TOOL_SERVERS = {
        "a": {"url": "https://t.example/mcp", **entry},
        "b": "https://t.example/mcp",
    }

    assert adapters.resolve("b").headers == {}
    with pytest.raises(UnavailableError) as caught:
        adapters.resolve("a")
    assert said in str(caught.value)
    whole = "".join(traceback.format_exception(caught.value))
    assert CANARY not in whole


def test_what_is_known_of_a_file_costs_a_look_at_its_date(file: Path) -> None:
    file.write_text(json.dumps({f"s{i}": "http://127.0.0.1:2/mcp" for i in range(2000)}))
    adapters.look_up("s1")
    before = os.times().user

    for _ in range(2000):
        adapters.look_up("s1")

    assert os.times().user - before < 1.0  # parsing it each time takes ten times as long


def test_no_secret_is_logged(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", CANARY)
    settings.TOOL_SERVERS = {"a": {"url": "http://127.0.0.1:9/mcp", "token_env": "DESK_TOKEN"}}
    caplog.set_level(logging.DEBUG)

    with pytest.raises(UnavailableError, match="connection refused"):
        adapters.ask(adapters.resolve("a"))

    assert CANARY not in caplog.text
