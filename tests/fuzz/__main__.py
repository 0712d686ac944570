"""``python -m tests.fuzz --cases 10000 --seed 7``: hostile values, as many as are wanted.

Says the seed and the case that broke something; ``--first N --cases 1`` with that seed tries it
again.
"""

from __future__ import annotations

import argparse
import os
import sys

import pytest


def main() -> int:
    """Try the cases; returns 0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--pages", type=float, default=0.15, help="share of the pages to open")
    said = parser.parse_args()
    for name, value in vars(said).items():
        os.environ[f"TOWER_FUZZ_{name.upper()}"] = str(value)
    return int(pytest.main(["tests/fuzz", "-x", "-q", "-s", "-o", "timeout=0", "--tb=short"]))


if __name__ == "__main__":
    sys.exit(main())
