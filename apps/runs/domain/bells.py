"""What bells are called."""

from __future__ import annotations


def bell_of(lane: str) -> str:
    """The key in Redis that lingering drains of ``lane`` wait on."""
    return f"tower:bell:{lane}"
