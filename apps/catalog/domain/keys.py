"""Where a document of the catalog says that a key is read: in a variable of its kind's own names,
or in a file of its kind's own folder. The key itself never stands in a document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.contract_schema import group
from apps.kernel.documents import Document, Problem

KEY_FILE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
# What keys look like: a known beginning, or a long run of letters and digits that is no word.
_BEGINS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|xai|gsk|hf|ghp|pat|api|key|Bearer)[-_ ]|AIza|AKIA)"
    r"(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{16,}"
)
_RUN = re.compile(r"[A-Za-z0-9+=]{24,}")


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What documents of one kind may name. ``prefix`` begins its variables, ``folder`` is the
    setting of its files' folder, ``of`` says whose keys these are."""

    prefix: str
    folder: str
    of: str

    @property
    def variable(self) -> str:
        """The pattern of its variables' names."""
        return f"^{self.prefix}[A-Z0-9_]{{1,60}}$"

    @property
    def shape(self) -> dict[str, Any]:
        """The schema of the field ``key``."""
        named = {"env": self.variable, "file": KEY_FILE}
        texts = {name: {"type": "string", "pattern": pattern} for name, pattern in named.items()}
        return {**group(texts), "minProperties": 1}

    @property
    def fix(self) -> str:
        return (
            f"Write “key: {{env: {self.prefix}…}}”, the name of a variable that every process of"
            " the tower has, or “key: {file: …}”. If it was a real key, renew it."
        )

    def secret_in(self, text: str) -> str:
        """Why a text may not be kept: something in it looks like a key. Empty if it may. What was
        found is not part of the answer."""
        runs = (found[0] for found in _RUN.finditer(text))
        mixed = any(re.search("[0-9]", run) and re.search("[A-Za-z]", run) for run in runs)
        if _BEGINS.search(text) or mixed:
            return f"Something in it looks like a key, so it is not kept. {self.fix}"
        return ""


OF_MODELS = KeyRules("TOWER_MODEL_KEY_", "TOWER_MODEL_KEYS", "models")
OF_SERVERS = KeyRules("TOWER_SERVER_KEY_", "TOWER_SERVER_KEYS", "tool servers")


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where one key is read; nowhere if both are empty."""

    env: str = ""
    file: str = ""


def key_problems(source: Document) -> list[Problem]:
    """Whether a document gives its key once."""
    if len(source.value.get("key") or ()) < 2:
        return []
    message = "“env” and “file” both give the key."
    return [source.problem(("key", "file"), message, "Keep one.")]
