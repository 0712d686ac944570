"""How people are told who works on a run."""

from __future__ import annotations

LOCAL = "local"


def live_label(model: str) -> str:
    """The label of a run that a live model works on."""
    return f"live model {model} (SmolLM2)" if model == LOCAL else f"live model {model}"


def given_label(by: str) -> str:
    """The label of a run whose every step was written down beforehand by ``by``."""
    return f"script given by {by}"[:160]
