"""Makes text from outside show what it hides: no character may act on the reader's screen.

Control, zero-width, direction, tag and variation characters, private use, unusual spaces and
unassigned code points become marks; what remains is plain text. Whoever shows it escapes it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Cc control, Cf format (bidi, zero-width, tags), Cs surrogate, Co private use, Cn unassigned,
# Zl and Zp line and paragraph separators; of Zs only the common space is innocent.
_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks that Unicode counts as visible and that draw nothing.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, range(0x180B, 0x1810)))
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
_NUL = "\N{SYMBOL FOR NULL}"  # which hides nothing itself


@dataclass(frozen=True)
class TextPiece:
    """A stretch of plain text, or one hiding character with its name."""

    text: str
    name: str = ""

    @property
    def is_mark(self) -> bool:
        return bool(self.name)


def hides(char: str) -> bool:
    """Whether ``char`` may not be shown as itself."""
    category = unicodedata.category(char)
    return category in _HIDING or char in _BLANK or (category == "Zs" and char != " ")


def name_of(char: str) -> str:
    """Its Unicode name, or that of its kind for the controls, which have none."""
    kinds = {"Cc": "CONTROL CHARACTER", "Cs": "SURROGATE", "Co": "PRIVATE USE CHARACTER"}
    return unicodedata.name(char, "") or kinds.get(unicodedata.category(char), "UNASSIGNED")


def pieces(text: str, *, keep: str = "") -> list[TextPiece]:
    """``text`` cut into plain stretches and marks. Characters of ``keep`` stay as they are."""
    hiding = {ord(char) for char in set(text) if hides(char) and char not in keep}
    if not hiding:
        return [TextPiece(text)] if text else []
    # Cut at each in C, since a text may have millions of characters: NUL, which hides itself, parts
    # what is plain from what hides, in turns.
    marked = text.translate({n: f"\x00{chr(n) if n else _NUL}\x00" for n in hiding})
    return [
        _mark(part) if at % 2 else TextPiece(part)
        for at, part in enumerate(marked.split("\x00"))
        if part
    ]


@lru_cache(maxsize=4096)
def _mark(char: str) -> TextPiece:
    char = "\x00" if char == _NUL else char
    return TextPiece(f"U+{ord(char):04X}", name_of(char))


def has_hidden(text: str) -> bool:
    """Whether ``text`` carries anything beyond line ends that a reader could not see."""
    return any(hides(char) for char in set(text) if char not in "\n\r\t")


def mixes_scripts(text: str) -> bool:
    """Whether one word mixes look-alike scripts, as ``p\u0430ypal`` with a Cyrillic letter does."""
    return not text.isascii() and any(len(_scripts_of(word)) > 1 for word in set(text.split()))


def _scripts_of(word: str) -> set[str]:
    if word.isascii():
        return set()
    return {script for char in set(word) if char.isalpha() and (script := _script_of(char))}


@lru_cache(maxsize=4096)
def _script_of(char: str) -> str:
    name = unicodedata.name(char, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")
