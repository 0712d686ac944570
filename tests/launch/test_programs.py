"""What the tower's processes are told, and what they are not."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from controltower.launch import files, model, programs, tower
from controltower.launch.listening import Listener
from controltower.launch.places import Lock, Places, child_environment, holder
from controltower.launch.ports import any_free
from controltower.launch.screen import Screen

CHOSEN = {"web": 18000, "retail": 18101, "airline": 18102}
SECRETS = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECRET_KEY_FILE", "TOWER_APPROVAL_KEY_FILE"}


def told(var: Path) -> dict[str, str]:
    return child_environment(
        Places(var), chosen=CHOSEN, database_url="postgres://t:pw@h/d", redis_url="redis://:pw@h/0"
    )


def servers(var: Path) -> dict[str, object]:
    """What the tower's processes read of tool servers, the environment's word before the file's."""
    env = told(var)
    file = files.read_json(Path(env["TOWER_TOOL_SERVERS_FILE"]))
    return file | json.loads(env.get("TOWER_TOOL_SERVERS", "{}"))


def test_tool_servers_and_model_know_nothing_of_the_tower(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the caller")
    monkeypatch.setenv("TOWER_MODEL_KEY", "m")
    env = told(var)
    held = Listener(any_free())
    shop = programs.tool_server("retail", places=Places(var), env=env, listener=held)
    local = model.program(places=Places(var), env=env, port=18110)
    held.close()
    for program in (shop, local):
        assert not SECRETS & set(program.env)
        assert "AWS_SECRET_ACCESS_KEY" not in program.env
        assert not [value for value in program.env.values() if ":pw@" in value]
    assert "TOWER_MODEL_KEY" not in shop.env
    assert local.env["TOWER_MODEL_KEY"] == "m"
    token = files.secret(Places(var).key("tools"))
    assert token not in " ".join(shop.argv)
    assert str(Places(var).key("tools")) in shop.argv


def test_packs_have_addresses_and_the_secret(var: Path) -> None:
    found = servers(var)
    assert found["retail"] == {
        "url": "http://127.0.0.1:18101/mcp",
        "token_file": str(var / "tools.key"),
    }
    assert stat.S_IMODE((var / "tools.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(Places(var).tool_servers.stat().st_mode) == 0o600


def test_the_callers_tool_servers_stand_beside_the_packs(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWER_TOOL_SERVERS", '{"mydesk": "http://127.0.0.1:9000/mcp"}')
    assert set(servers(var)) == {"mydesk", "retail", "airline"}
    monkeypatch.setenv("TOWER_TOOL_SERVERS", '{"retail": "http://127.0.0.1:9000/mcp"}')
    assert servers(var)["retail"] == "http://127.0.0.1:9000/mcp"
    monkeypatch.setenv("TOWER_TOOL_SERVERS", "{")
    env = told(var)
    assert env["TOWER_TOOL_SERVERS"] == "{"
    assert set(files.read_json(Path(env["TOWER_TOOL_SERVERS_FILE"]))) == {"retail", "airline"}


def test_a_file_of_the_callers_keeps_its_word(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = var / "theirs.json"
    theirs.write_text('{"airline": "http://127.0.0.1:9001/mcp", "desk": {"url": "http://d/mcp"}}')
    monkeypatch.setenv("TOWER_TOOL_SERVERS_FILE", str(theirs))
    assert told(var)["TOWER_TOOL_SERVERS_FILE"] == str(theirs)
    assert set(servers(var)) == {"retail", "airline", "desk"}
    assert servers(var)["airline"] == "http://127.0.0.1:9001/mcp"


def test_each_start_has_a_name_of_its_own(var: Path) -> None:
    assert told(var)["TOWER_INSTANCE"] != told(var)["TOWER_INSTANCE"]


def test_nobody_is_stopped_for_a_number_that_was_left_behind(var: Path) -> None:
    places = Places(var)
    lock = Lock(places)
    assert lock.acquire()
    # A process of this number runs, but it is no tower.
    assert holder(places) == 0
    lock.release()


def test_a_tower_without_practice_asks_for_no_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tower, "_with_data", lambda: asked.append("data") or [])
    monkeypatch.setattr(tower.loading, "fetch_wheel", lambda folder: asked.append("wheel"))
    monkeypatch.setenv("TOWER_PACKS", str(tmp_path))
    screen = Screen()

    monkeypatch.setenv("TOWER_PRACTICE", "0")
    assert tower.available_packs(Places(tmp_path), screen) == []
    assert asked == []
    monkeypatch.setenv("TOWER_PRACTICE", "1")
    assert tower.available_packs(Places(tmp_path), screen) == []
    assert asked == ["data", "wheel", "data"]
