"""Which tests run side by side (``pytest -n 3``), and in which order they are dealt out.

A file stays together, in one process: its tests may share what is costly to start. Each process has
a database, a Valkey and a folder of its own (see ``tests/plugin.py``) and listens on ports that the
kernel chooses, so files need not know of each other. Those of a folder in ``TOGETHER`` share even
more, and stay in one process.

A test before which real processes run (``REAL``) judges with time-outs what a busy machine may
miss: where it fails it is tried once more, and the summary names it (``RERUN``). That is something
to look into, not nothing: decision 0067.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# One plant of breakable servers and one zygote serve all of them.
TOGETHER = ("tests/faults/",)
# What takes longest comes first, so that no process is left alone with it at the end.
LONGEST_FIRST = (
    "tests/faults/",
    "tests/engine/test_kills.py",
    "tests/launch/test_tower.py",
    "tests/engine/",
    "tests/e2e/",
    "tests/api/",
    "tests/launch/",
)

# What these show is also the machine's doing; all other tests get one try.
REAL = ("tests/api/", "tests/audit/", "tests/e2e/", "tests/engine/", "tests/faults/", "tests/fuzz/")
REAL += ("tests/launch/", "tests/workers/")
TRIES_MORE = 1


def is_real(nodeid: str) -> bool:
    """Whether this test has a second try."""
    return nodeid.startswith(REAL)


def unit_of(nodeid: str) -> str:
    """The tests that stay together with this one, by a common name."""
    path = nodeid.partition("::")[0]
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


def rank(unit: str) -> int:
    """Its place in the queue; the order of the collection decides between equals."""
    places = [at for at, start in enumerate(LONGEST_FIRST) if unit.startswith(start)]
    return places[0] if places else len(LONGEST_FIRST)


class Sharing(LoadScopeScheduling):
    """Deals out units in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by number of tests says nothing of their time

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
