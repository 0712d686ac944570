"""A short portion of ``make chaos``: random faults for a while, then the nine invariants."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.nemesis import Load, Nemesis, soak
from tests.faults.plant import Plant

SECONDS = float(os.environ.get("TOWER_TEST_SOAK", "20"))


@pytest.mark.slow
def test_random_faults_leave_nothing_wrong(proved: Plant) -> None:
    seed = int(os.environ.get("TOWER_TEST_SEED", random.randrange(10**6)))
    print(f"seed {seed}")  # noqa: T201  # shown when it fails
    dice = random.Random(seed)
    nemesis = Nemesis(proved, dice)
    load = Load(proved, dice, open_runs=20, workers=2)

    soak(load, nemesis, seconds=SECONDS, every_s=(0.5, 3.0))

    assert sum(nemesis.done.values()) > 3
    assert len(load.started) > 20
