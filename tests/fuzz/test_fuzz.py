"""Values that nobody expects, from every side, beside ordinary runs on two real workers.

``make fuzz CASES=10000 SEED=1`` tries more of them; here it is a portion of one seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

from django.conf import settings as django_settings

from tests.engine.conftest import environment
from tests.fuzz import pages
from tests.fuzz.cases import KINDS, make
from tests.fuzz.ground import Ground, standing

CASES = int(os.environ.get("TOWER_FUZZ_CASES", "64"))
SEED = int(os.environ.get("TOWER_FUZZ_SEED", "1"))
FIRST = int(os.environ.get("TOWER_FUZZ_FIRST", "0"))
SHARE = float(os.environ.get("TOWER_FUZZ_PAGES", "0.15"))
BATCH = 12 * len(KINDS)


class _Nowhere:
    """Stands for a tool service that these tests do without."""

    url = "http://127.0.0.1:9/mcp"


def batch(ground: Ground, first: int, count: int) -> None:
    """Send so many cases, wait for them, look at them, and decide what was asked."""
    random = Random(f"{SEED}/batch/{first}")
    ground.prepare([make(SEED, n, f"odd_{n - first}") for n in range(first, first + count)])
    beside = ground.start()
    ground.wait([*ground.runs, *beside], held=True)
    ground.check(beside)
    pages.look(ground, random, SHARE)
    decided = pages.decide(ground, random)
    again = ground._ordinary(10)
    ground.wait([*decided, *again], held=True)
    ground.check([*beside, *again])


def test_hostile_values_stop_nobody_and_end_with_words(
    transactional_db: None, tmp_path: Path, settings: Any
) -> None:
    env = environment(_Nowhere())  # type: ignore[arg-type]  # only its address is asked for
    with standing(tmp_path, env, settings) as ground:
        workers = [ground.tower.worker(), ground.tower.worker()]
        ground.tower.spawn("sweep")
        for first in range(FIRST, FIRST + CASES, BATCH):
            batch(ground, first, min(BATCH, FIRST + CASES - first))
            if CASES > BATCH:
                print(f"{first + BATCH - FIRST} of {CASES}, seed {SEED}", flush=True)  # noqa: T201
        print(dict(sorted(ground.ends.items())))  # noqa: T201
        assert len({w.pid for w in workers if w.poll() is None}) == 2
    assert django_settings.TOOL_SERVERS
