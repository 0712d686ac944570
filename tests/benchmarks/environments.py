"""Peers live in environments of their own, so that their pins never meet ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.ground import HOME

PINS: dict[str, tuple[str, ...]] = {
    "dbos": ("dbos==3.4.0", "psycopg[binary]==3.3.9"),
    "langgraph": (
        "langgraph==1.2.22",
        "langgraph-checkpoint-postgres==3.2.0",
        "psycopg[binary,pool]==3.3.9",
    ),
    "floor": ("psycopg[binary]==3.3.9",),
}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made and filled on first use."""
    place = HOME / "envs" / peer
    python = place / "bin" / "python"
    stamp = place / ".installed"
    wanted = hashlib.sha256(repr((PINS[peer], sys.version)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *PINS[peer]], check=True)
    stamp.write_text(wanted)
    return python


def versions_of(peer: str) -> dict[str, str]:
    """What is installed there of the things that were asked for."""
    names = [pin.partition("==")[0].partition("[")[0] for pin in PINS[peer]]
    code = "import sys, json; from importlib.metadata import version as v;"
    code += "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    asked = [str(python_of(peer)), "-c", code, *names]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
