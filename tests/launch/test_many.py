"""Towers that start at once on one machine; ten of them with ``python -m tests.launch.many``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.launch import many
from tests.practice.world.conftest import tiny_pack as tiny_pack  # a fixture of its name


@pytest.mark.slow
def test_towers_that_start_at_once_come_up_as_themselves(tiny_pack: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in many.OURS}
    many.run(3, {**kept, "TOWER_DATA": str(tiny_pack)}, is_light=True)
