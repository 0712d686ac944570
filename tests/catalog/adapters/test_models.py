"""Where a model is asked: one order, keys by reference, and no host that isn't allowed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.catalog.adapters import models
from apps.catalog.domain.language_models import ModelTerms
from apps.kernel.errors import UnavailableError

CANARY = "k3y-canary-of-a-model"
TERMS = ModelTerms("careful", 2, "Careful", "https://api.example.com/v1", "m-1")


@pytest.fixture(autouse=True)
def own(settings: Any) -> None:
    settings.MODEL, settings.MODEL_URL, settings.MODEL_KEY = "own", "http://127.0.0.1:1/v1", "k"


def test_a_name_is_the_catalogs_else_the_installations_provider_has_it() -> None:
    known = {"careful": TERMS}

    asked = [models.reach(name, known) for name in ("careful", "gpt", "", "configured")]

    assert [(a.asked_as, a.url) for a in asked] == [
        ("m-1", TERMS.url),
        ("gpt", "http://127.0.0.1:1/v1"),
        ("own", "http://127.0.0.1:1/v1"),
        ("own", "http://127.0.0.1:1/v1"),
    ]
    assert [a.key for a in asked] == ["", "k", "k", "k"]


def test_a_model_of_the_catalog_needs_no_installation_of_its_own(settings: Any) -> None:
    settings.MODEL = settings.MODEL_URL = ""

    assert models.reach("careful", {"careful": TERMS}).asked_as == "m-1"
    with pytest.raises(UnavailableError, match="TOWER_MODEL") as caught:
        models.reach("gpt", {"careful": TERMS})
    assert caught.value.code == "not_configured"


def test_a_key_is_read_where_the_document_says_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terms = replace(TERMS, key_env="TOWER_MODEL_KEY_CAREFUL")
    assert "TOWER_MODEL_KEY_CAREFUL, which is not set" in models.trouble_of(terms)
    monkeypatch.setenv("TOWER_MODEL_KEY_CAREFUL", CANARY)

    access = models.reach("careful", {"careful": terms})

    assert access.key == CANARY
    assert models.trouble_of(terms) == ""
    assert CANARY not in repr(access)
    assert CANARY not in access.redacted(f"Incorrect API key provided: {CANARY}")


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "TOWER_MODEL_KEY", "PATH"])
def test_no_other_variable_is_read_whatever_a_row_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, CANARY)

    with pytest.raises(UnavailableError, match="no variable that holds keys") as caught:
        models.reach("careful", {"careful": replace(TERMS, key_env=name)})
    assert CANARY not in str(caught.value)


def test_a_key_file_is_read_in_its_folder_only(tmp_path: Path, settings: Any) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (tmp_path / "other").write_text(CANARY)
    (keys / "careful").write_text(f"{CANARY}\n")
    (keys / "linked").symlink_to(tmp_path / "other")
    (keys / "binary").write_bytes(b"\xff\xfe")
    (keys / "empty").write_text("")
    os.mkfifo(keys / "pipe")
    terms = replace(TERMS, key_file="careful")
    assert "TOWER_MODEL_KEYS names no folder" in models.trouble_of(terms)
    settings.MODEL_KEYS = str(keys)

    assert models.reach("careful", {"careful": terms}).key == CANARY
    for file, why in {
        "linked": "lies outside",
        "../other": "lies outside",
        "below/it": "lies outside",
        "care\0ful": "lies outside",
        "careful\n": "lies outside",
        "pipe": "is a pipe or a device",
        "gone": "can't be read",
        "binary": "is not text",
        "empty": "is empty",
    }.items():
        said = models.trouble_of(replace(TERMS, key_file=file))
        assert why in said, (file, said)
        assert CANARY not in said


@pytest.mark.parametrize(
    ("hosts", "url", "is_blocked"),
    [
        ([], "https://api.example.com/v1", False),
        ([], "http://127.0.0.1:9/v1", False),
        ([], "http://10.1.2.3/v1", True),
        (["10.0.0.0/8"], "http://10.1.2.3/v1", False),
        (["api.example.com"], "https://api.example.com/v1", False),
        (["*.example.com"], "https://api.example.com/v1", False),
        (["api.example.com"], "https://evil.example/v1", True),
        (["api.example.com"], "http://127.0.0.1:9/v1", True),
    ],
)
def test_a_host_that_is_not_listed_is_blocked(
    hosts: list[str], url: str, is_blocked: bool, settings: Any
) -> None:
    settings.CATALOG_HOSTS = hosts

    said = models.trouble_of(replace(TERMS, url=url))

    assert bool(said) == is_blocked, said
    if is_blocked:
        assert "TOWER_CATALOG_HOSTS" in said
        assert "allow_hosts" not in said
