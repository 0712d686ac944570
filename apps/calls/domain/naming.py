"""How people are told who works on a run, and how providers are told which tools there are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LOCAL = "local"
PROVIDER_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what OpenAI's API takes for a function


def live_label(model: str) -> str:
    """The label of a run that a live model works on."""
    return f"live model {model}"[:160]


def given_label(by: str) -> str:
    """The label of a run whose every step was written down beforehand by ``by``."""
    return f"script given by {by}"[:160]


def provider_names(names: Iterable[str]) -> dict[str, str]:
    """Names of tools as providers take them, each leading back to ours. A name that fits is its
    own; another gets a part of its digest, so that no two become one."""
    wanted = list(dict.fromkeys(names))
    found = {name: name for name in wanted if PROVIDER_NAME.fullmatch(name)}
    for name in wanted:
        if name not in found:
            found[provider_name(name)] = name
    return found


def provider_name(name: str) -> str:
    """One of ours as providers take it."""
    if PROVIDER_NAME.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:55]}_{mark}"
