"""Which live model a tower has, and how it says so."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from apps.calls import agents
from controltower.launch import model
from controltower.launch.places import Places
from controltower.launch.screen import Screen
from controltower.launch.tower import Tower
from controltower.practice import localmodel


@pytest.mark.parametrize(
    ("env", "own"),
    [
        ({}, False),
        ({"TOWER_MODEL": "local"}, True),
        ({"TOWER_MODEL": "local", "TOWER_MODEL_URL": "http://127.0.0.1:1/v1"}, False),
        ({"TOWER_MODEL": "gpt-4.1"}, False),
    ],
)
def test_only_a_local_model_without_an_address_is_run_here(env: dict[str, str], own: bool) -> None:
    assert model.is_own(env) is own


def test_missing_packages_are_named_and_the_tower_goes_on(
    var: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(localmodel, "missing", lambda: ["xllamacpp"])
    tower = Tower(Places(var), Screen())
    tower.env = {"TOWER_MODEL": "local"}

    tower._start_model()

    assert tower.env["TOWER_MODEL"] == ""
    assert tower.supervisor.watched == []
    said = " ".join(capsys.readouterr().out.split())
    assert "needs xllamacpp" in said
    assert "make up MODEL=local" in said


def test_its_key_is_private_and_stays(var: Path) -> None:
    places = Places(var)

    first, second = (model.address(places, port=8110) for _ in range(2))

    assert first == second
    assert first["TOWER_MODEL_NAME"] == "local (SmolLM2 135M)"
    assert first["TOWER_MODEL_URL"] == "http://127.0.0.1:8110/v1"
    assert stat.S_IMODE(places.key("model").stat().st_mode) == 0o600


def test_doctor_says_what_to_set_and_never_the_key() -> None:
    assert "TOWER_MODEL_KEY" in model.described({})
    env = {"TOWER_MODEL": "m", "TOWER_MODEL_URL": "https://h.example/v1", "TOWER_MODEL_KEY": "k3y"}
    assert model.described(env) == "m of h.example"


def test_people_are_told_what_the_model_is_called(settings: Any) -> None:
    settings.MODEL, settings.MODEL_URL, settings.MODEL_NAME = "m-1", "http://h.example", ""
    assert agents.label() == "live model m-1"
    settings.MODEL_NAME = "our own"
    assert agents.label() == "live model our own"
    settings.MODEL_URL = ""
    assert agents.label() == ""
