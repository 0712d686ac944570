"""The catalogue of the runs' tests, for the comparison with the product."""

from __future__ import annotations

from tests.runs.conftest import make_scene, scene

__all__ = ["make_scene", "scene"]
