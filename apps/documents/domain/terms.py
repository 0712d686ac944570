"""What a field promises, and who keeps the promise.

Each document that people write (contract, policy, pack) and the environment have a registry of
their fields. A test fails for a field without an entry, an entry without a field, and an entry
whose code, test or place doesn't exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChangeClass(StrEnum):
    """How a change of the field is classed when a new version is reviewed."""

    JUDGED = "judged"  # stronger or weaker, by its direction
    WEAKER = "weaker"  # whatever the change: nobody can tell
    NEUTRAL = "neutral"  # it weakens nothing
    TOLD = "told"  # applied from a file that was reviewed elsewhere; told when it is applied


@dataclass(frozen=True, slots=True)
class Enforced:
    """``by``: dotted name of the code that would have to be broken for the promise to break.
    ``test``: file and name of the test that would then fail, from ``tests`` on. ``shown``: the
    template or document, from the project's folder on, where people read it."""

    by: str
    test: str
    shown: str = ""
    change: ChangeClass = ChangeClass.JUDGED
