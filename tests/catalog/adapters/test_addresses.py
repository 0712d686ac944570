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
from apps.catalog.adapters.transport import _trust
from apps.catalog.domain.servers import Source
from apps.catalog.models import ToolServer, ToolServerDraft
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
    assert url("c") == ("http://127.0.0.1:3/mcp", Source.PACK)
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
    assert url("b")[1] is Source.PACK
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


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder", "a\ud800b"])
def test_a_token_is_read_of_an_ordinary_file_only(what: str, tmp_path: Path, settings: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    settings.TOOL_SERVERS = {
        "a": {"url": "https://t.example/mcp", "token_file": str(tmp_path / what)}
    }

    with pytest.raises(UnavailableError, match=r"which (is a pipe or a device|can't be read)"):
        adapters.resolve("a")


@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_a_file_of_addresses_or_authorities_is_an_ordinary_one(
    what: str, tmp_path: Path, settings: Any
) -> None:
    path = tmp_path / "odd"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, str(path)

    assert "it is no ordinary file" in adapters.problems()[0]
    asked = {"url": "https://127.0.0.1:9/mcp", "ca_file": str(path)}
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {"a": asked}, ""
    with pytest.raises(UnavailableError, match="it is no ordinary file"):
        _trust(adapters.look_up("a"))


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


def document(slug: str, url: str, *, number: int = 1, **more: Any) -> ToolServer:
    """A server with a published document."""
    server, _ = ToolServer.objects.get_or_create(slug=slug)
    told = {"slug": slug, "name": slug, "url": url, **more}
    server.versions.create(number=number, document=told, written="", digest=str(number))
    ToolServer.objects.filter(pk=server.pk).update(current_number=number)
    return server


@pytest.mark.django_db
def test_a_document_says_where_a_server_is_where_no_operator_does(
    file: Path, settings: Any
) -> None:
    for slug in "abcd":
        ToolServer.objects.create(slug=slug, url="http://127.0.0.1:4/mcp")
    for slug in "abc":
        document(slug, f"https://{slug}.example.com/mcp")
    document("c", "https://newer.example.com/mcp", number=2)
    document("e", "https://only.example.com/mcp")
    file.write_text(json.dumps({"b": "http://127.0.0.1:2/mcp"}))
    settings.TOOL_SERVERS = {"a": "http://127.0.0.1:1/mcp"}

    assert url("a") == ("http://127.0.0.1:1/mcp", Source.ENVIRONMENT)
    assert url("b") == ("http://127.0.0.1:2/mcp", Source.FILE)
    assert url("c") == ("https://newer.example.com/mcp", Source.DOCUMENT)
    assert url("d") == ("http://127.0.0.1:4/mcp", Source.PACK)
    assert url("e") == ("https://only.example.com/mcp", Source.DOCUMENT)
    assert adapters.look_up("c").number == 2
    assert adapters.module_of("e") == ""


@pytest.mark.django_db
def test_a_draft_and_an_older_version_are_called_by_nobody(
    file: Path, people: dict[str, Any]
) -> None:
    begun = ToolServer.objects.create(slug="begun")
    text = "slug: begun\nname: B\nurl: https://b.example.com/mcp\n"
    ToolServerDraft.objects.create(server=begun, text=text, base_number=0, author=people["admin"])
    old = document("old", "https://b.example.com/mcp")
    ToolServer.objects.filter(pk=old.pk).update(current_number=7)

    for slug in ("begun", "old"):
        with pytest.raises(UnavailableError, match="No address is known"):
            adapters.resolve(slug)


@pytest.mark.django_db
def test_one_query_answers_for_all_servers_and_none_for_an_operators(
    file: Path, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.TOOL_SERVERS = {"a": "http://127.0.0.1:1/mcp"}
    for slug in ("b", "c"):
        document(slug, f"https://{slug}.example.com/mcp")

    with django_assert_num_queries(1):
        adapters.look_up("b")
    with django_assert_num_queries(0):
        adapters.look_up("a")
        assert adapters.module_of("b") == ""


@pytest.mark.django_db(transaction=True)
def test_a_document_is_known_inside_an_event_loop(settings: Any) -> None:
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, ""
    document("loops", "https://tools.example.com/mcp")

    async def asked() -> str:
        return adapters.resolve("loops").url

    adapters.look_up("loops")
    assert asyncio.run(asked()) == "https://tools.example.com/mcp"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hosts", "url", "is_blocked"),
    [
        ([], "https://tools.example.com/mcp", False),
        ([], "http://127.0.0.1:9/mcp", True),
        ([], "http://localhost:9/mcp", True),
        ([], "http://10.1.2.3/mcp", True),
        (["127.0.0.1"], "http://127.0.0.1:9/mcp", False),
        (["localhost"], "http://localhost:9/mcp", False),
        (["10.0.0.0/8"], "http://10.1.2.3/mcp", False),
        (["tools.example.com"], "https://tools.example.com/mcp", False),
        (["*.example.com"], "https://tools.example.com/mcp", False),
        (["tools.example.com"], "https://evil.example/mcp", True),
        (["*.example.com"], "https://example.com.evil.example/mcp", True),
    ],
)
def test_a_documents_host_that_is_not_listed_is_blocked(
    file: Path, hosts: list[str], url: str, is_blocked: bool, settings: Any
) -> None:
    settings.CATALOG_HOSTS = hosts
    document("desk", url)
    if not is_blocked:
        assert adapters.resolve("desk").url == url
        return

    with pytest.raises(UnavailableError, match="“desk” v1 is blocked") as caught:
        adapters.resolve("desk")
    assert "TOWER_CATALOG_HOSTS" in str(caught.value)
    assert "allow_hosts" not in str(caught.value)


@pytest.mark.django_db
def test_a_documents_key_is_read_where_it_says_and_nowhere_else(
    file: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SERVER_KEYS, settings.MODEL_KEYS = str(tmp_path / "keys"), str(tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "desk").write_text(f"{CANARY}\n")
    (tmp_path / "careful").write_text(CANARY)
    for name in ("TOWER_SERVER_KEY_DESK", "TOWER_MODEL_KEY_CAREFUL", "SECRET_KEY"):
        monkeypatch.setenv(name, CANARY)
    where = "https://tools.example.com/mcp"
    document("env", where, key={"env": "TOWER_SERVER_KEY_DESK"})
    document("file", where, key={"file": "desk"})
    document("none", where)

    for slug in ("env", "file"):
        found = adapters.resolve(slug)
        assert found.headers == {"Authorization": f"Bearer {CANARY}"}
        assert found.address.has_credentials
        assert CANARY not in repr(found)
        assert found.redacted(f"who is {CANARY}?") == "who is •••?"
    assert adapters.resolve("none").headers == {}
    wrong = {
        "other": ({"env": "TOWER_MODEL_KEY_CAREFUL"}, "no variable that holds keys of tool"),
        "own": ({"env": "SECRET_KEY"}, "no variable that holds keys of tool servers"),
        "gone": ({"env": "TOWER_SERVER_KEY_GONE"}, "TOWER_SERVER_KEY_GONE, which is not set"),
        "models": ({"file": "careful"}, "can't be read"),
        "outside": ({"file": "../careful"}, "lies outside"),
    }
    for slug, (key, why) in wrong.items():
        document(slug, where, key=key)
        with pytest.raises(UnavailableError, match=why) as caught:
            adapters.resolve(slug)
        assert CANARY not in str(caught.value)


@pytest.mark.django_db
def test_an_approval_of_a_document_is_bound_to_what_it_says(file: Path, settings: Any) -> None:
    settings.CATALOG_HOSTS = ["127.0.0.1"]
    bound = []
    for number, more in enumerate(
        [
            {"url": "http://127.0.0.1:1/mcp"},
            {"url": "http://127.0.0.1:2/mcp"},
            {"url": "http://127.0.0.1:1/mcp", "key": {"env": "TOWER_SERVER_KEY_X"}},
            {"url": "http://127.0.0.1:1/mcp"},
        ],
        start=1,
    ):
        document("desk", number=number, **more)
        bound.append(adapters.look_up("desk").identity)

    assert len(set(bound)) == 3
    assert bound[0] == bound[3]
    ToolServer.objects.filter(slug="desk").update(current_number=0, url="http://127.0.0.1:1/mcp")
    assert adapters.look_up("desk").identity not in bound
