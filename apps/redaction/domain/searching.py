"""Find known values in text, in time proportional to the text.

RE2 (see ``kernel.patterns``) looks for hundreds of texts in one pass. What was found later gets a
pass of its own until there are many passes; then all are made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import re2

EACH = 500  # texts of one pass
PASSES = 8
MOST_MEMORY = 64 << 20  # of one pass, in bytes


class Search:
    """Texts that are looked for, each with what stands in its place."""

    def __init__(self, *, any_case: bool) -> None:
        self._any_case = any_case
        self._texts: dict[str, str] = {}
        self._new: list[str] = []
        self._passes: list[Any] = []

    def add(self, text: str, instead: str) -> None:
        found = self._as_compared(text)
        if found not in self._texts:
            self._texts[found] = instead
            self._new.append(text)

    @property
    def texts(self) -> Mapping[str, str]:
        return self._texts

    def replaced(self, text: str) -> str:
        """The text with all of them replaced; of those that begin at one place the longest."""
        if not self._texts or not text:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        for one in self._ready():
            if one.search(raw) is not None:
                raw = one.sub(self._instead, raw)
        return raw.decode("utf-8", "surrogatepass")

    def is_in(self, raw: bytes) -> bool:
        """Whether one of them stands in these bytes, as UTF-8."""
        return any(one.search(raw) is not None for one in self._ready())

    @property
    def _instead(self) -> Callable[[Any], bytes]:
        def found(match: Any) -> bytes:
            said = match.group(0).decode("utf-8", "surrogatepass")
            return self._texts.get(self._as_compared(said), "⟦⟧").encode()

        return found

    def _as_compared(self, text: str) -> str:
        return text.casefold() if self._any_case else text

    def _ready(self) -> list[Any]:
        if self._new:
            wanted = self._new
            if len(self._passes) >= PASSES:
                wanted, self._passes = list(self._texts), []
            self._passes += [
                self._compiled(wanted[i : i + EACH]) for i in range(0, len(wanted), EACH)
            ]
            self._new = []
        return self._passes

    def _compiled(self, texts: list[str]) -> Any:
        options = re2.Options()
        options.max_mem, options.log_errors = MOST_MEMORY, False
        options.case_sensitive, options.never_capture = not self._any_case, True
        longest = sorted(texts, key=len, reverse=True)
        written = b"|".join(re2.escape(t.encode("utf-8", "surrogatepass")) for t in longest)
        return re2.compile(written, options)
