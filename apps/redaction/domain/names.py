"""What a contract's ``data.redact`` names.

A bare name (``dob``) is that key at any depth. A path (``customer.address.zip``) is read from the
root of a document: a call's arguments, an answer, a run's input, context or result; and from the
root of what an answer holds as ``facts``, ``before``, ``after``, ``result``, ``args``. ``*`` stands
for any one key, and every item of a list is at the list's own path. Capitals make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

NAME = r"^(?:\*\.)*[A-Za-z0-9_$@-]+(?:\.(?:\*|[A-Za-z0-9_$@-]+))*$"
MOST_LABEL = 40
ROOTS = frozenset({"facts", "before", "after", "result", "args", "arguments"})
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_PARTS = re.compile(r"[^.\[\]]+")

State = tuple[tuple[int, int], ...]  # paths on the way: which one, and how many of its parts


@dataclass(frozen=True, slots=True)
class Names:
    """What a contract hides, ready to be looked for."""

    bare: Mapping[str, str]  # the name in small letters → label of its tokens
    paths: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]  # of the paths

    @property
    def start(self) -> State:
        return tuple((i, 0) for i in range(len(self.paths)))

    def below(self, key: str, state: State) -> tuple[State, str]:
        """Where one is below ``key``, and the label of what lies there if it is hidden."""
        name = key.casefold()
        if (label := self.bare.get(name)) is not None:
            return (), label
        on: list[tuple[int, int]] = []
        for which, done in state:
            if self.paths[which][done] not in (name, "*"):
                continue
            if done + 1 == len(self.paths[which]):
                return (), self.labels[which]
            on.append((which, done + 1))
        return tuple(on), ""

    def hides(self, place: str) -> bool:
        """Whether the value at ``place`` ("facts.amount_cents") is hidden."""
        parts = place.split(".")
        starts = [parts, parts[1:]] if parts[0] in ROOTS else [parts]
        return any(self._is_below(some) for some in starts)

    def _is_below(self, parts: list[str]) -> bool:
        state = self.start
        for part in parts:
            state, label = self.below(part, state)
            if label:
                return True
        return False

    def said(self, path: str) -> str:
        """The label of a change that an answer speaks of by ``path`` ("users.x.dob"): a name of
        ours is one of its parts, or a path of ours stands in it. Empty if it isn't hidden."""
        parts = [part.casefold() for part in _PARTS.findall(path)]
        for part in parts:
            if (label := self.bare.get(part)) is not None:
                return label
        parts = [part for part in parts if not part.isdigit()]
        for which, wanted in enumerate(self.paths):
            plain = [part for part in wanted if part != "*"]
            if any(parts[i : i + len(plain)] == plain for i in range(len(parts))):
                return self.labels[which]
        return ""


def problem(name: str) -> str:
    """Why this can't be a name of what is hidden; empty when it can."""
    if re.fullmatch(NAME, name) is None or name.endswith(".*"):
        return (
            f"“{name}” is no name of a value: write a key (“dob”), or a path from the root"
            " (“customer.address.zip”, “passengers.*.dob”) that ends with a key."
        )
    return ""


def names_of(stated: Iterable[str]) -> Names:
    """The names of a contract; those that can't be names hide nothing (``problem``)."""
    return _names(tuple(name for name in stated if isinstance(name, str)))


@lru_cache(maxsize=512)
def _names(stated: tuple[str, ...]) -> Names:
    usable = [name for name in stated if not problem(name)]
    bare = {n.casefold(): label_of(n) for n in usable if "." not in n}
    paths = [n for n in usable if "." in n]
    parts = tuple(tuple(n.casefold().split(".")) for n in paths)
    return Names(bare, parts, tuple(map(label_of, paths)))


def label_of(name: str) -> str:
    """What tokens of this name are called: its last part."""
    return _ODD.sub("_", name.rpartition(".")[2].casefold())[:MOST_LABEL]
