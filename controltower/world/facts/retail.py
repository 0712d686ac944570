"""Facts about a call to the retail company; empty until somebody states some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def facts(world: Mapping[str, Any], tool: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the system of record knows about this call before it is made."""
    return {}
