from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from controltower.practice.world import loading
from controltower.practice.world.errors import PackMissingError
from controltower.practice.world.schemas import own_tool_schemas


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOWER_DATA", str(tmp_path / "absent"))
    monkeypatch.setenv("TOWER_PACKS", str(tmp_path / "var" / "packs"))
    return tmp_path


def pretend_pip(monkeypatch: pytest.MonkeyPatch, *, code: int, wheel: bool) -> None:
    def download(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        folder = Path(command[command.index("--dest") + 1])
        if wheel:
            with zipfile.ZipFile(folder / "inspect_evals-0.whl", "w") as archive:
                for domain in loading.DOMAINS:
                    for name in loading.PACKED_FILES:
                        member = f"inspect_evals/tau2/data/domains/{domain}/{name}"
                        archive.writestr(member, json.dumps([{"id": domain}]))
        return subprocess.CompletedProcess(command, code, "", "ERROR: no route to host")

    monkeypatch.setattr(loading.subprocess, "run", download)


def test_worlds_are_fresh_objects(fresh_retail: Any) -> None:
    fresh_retail["orders"].clear()

    assert set(loading.load_world("retail")["orders"]) == {"#P", "#G", "#D"}


def test_a_missing_pack_says_which_and_how_to_add_it(nowhere: Path) -> None:
    with pytest.raises(PackMissingError, match=r"The airline pack .*practice\.world\.loading"):
        loading.load_world("airline")
    with pytest.raises(PackMissingError, match="retail, airline"):
        loading.load_world("bank")


def test_the_published_package_is_unpacked_and_found(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_pip(monkeypatch, code=0, wheel=True)
    folder = loading.fetch_wheel(nowhere / "var")

    assert folder == nowhere / "var" / "packs" / "tau2"
    assert loading.load_tasks("retail") == [{"id": "retail"}]
    assert loading.load_policy("airline") == '[{"id": "airline"}]'


def test_a_failed_download_gives_its_reason(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_pip(monkeypatch, code=1, wheel=False)

    with pytest.raises(PackMissingError, match=r"is there a network\? ERROR: no route to host"):
        loading.fetch_wheel(nowhere / "var")


def test_tools_are_listed_without_any_data(nowhere: Path) -> None:
    names = {domain: len(loading.load_tool_schemas(domain)) for domain in loading.DOMAINS}

    assert names == {"retail": 17, "airline": 15}


@pytest.mark.parametrize("domain", loading.DOMAINS)
def test_own_schemas_equal_the_published_ones(domain: str) -> None:
    folder = loading.data_dir()
    if folder is None or not (folder / "tools.json").is_file():
        pytest.skip("the published tools.json is not on this machine (set TOWER_DATA)")
    published = json.loads((folder / "tools.json").read_text(encoding="utf-8"))[domain]
    compared = ("name", "parameters", "mutates", "tool_type", "discoverable")

    assert [{part: schema[part] for part in compared} for schema in own_tool_schemas(domain)] == [
        {part: schema[part] for part in compared} for schema in published
    ]
