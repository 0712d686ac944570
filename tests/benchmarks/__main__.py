"""``python -m tests.benchmarks [--only throughput …] [--scale quick]``."""

from __future__ import annotations

import argparse
import os
import sys

import django

from controltower.launch.places import ROOT
from tests.benchmarks import report
from tests.benchmarks.ground import Ground, environment
from tests.benchmarks.scale import SCALES

CASES = ("throughput", "waiting", "latency", "policy", "events", "live", "backlog")


def main() -> int:
    given = _arguments()
    wanted = [case for case in CASES if not given.only or case in given.only]
    os.chdir(ROOT)
    ground = Ground.open()
    try:
        url = ground.database("controltower")
        env = environment(ground, database_url=url)
        os.environ.update(env)
        django.setup()
        # Only now: what it imports reads the settings, and they the environment.
        from tests.benchmarks import cases  # noqa: PLC0415

        found = cases.run(wanted, ground=ground, env=env, given=given, say=report.say)
    finally:
        ground.close()
    report.finish(found)
    return 1 if found["failed"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=CASES, help="these cases and no others")
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--backlog", type=int, help="how many runs wait in the backlog case")
    parser.add_argument(
        "--contenders",
        nargs="*",
        choices=("ours", "dbos", "langgraph", "floor"),
        default=["ours", "dbos", "langgraph", "floor"],
        help="whom to measure in the throughput case",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
