"""Rows for the dashboards."""

from __future__ import annotations

import pytest

from tests.dashboards.rows import Shop


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()
