"""Makes text from outside show what it hides: no character may act on the reader's screen.

Control, zero-width, direction, tag and variation characters, private use, unusual spaces and
unassigned code points become marks; what remains is plain text. Whoever shows it escapes it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Piece:
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


def pieces(text: str, *, keep: str = "") -> list[Piece]:
    """``text`` cut into plain stretches and marks. Characters of ``keep`` stay as they are."""
    found: list[Piece] = []
    plain: list[str] = []
    for char in text:
        if char in keep or not hides(char):
            plain.append(char)
            continue
        if plain:
            found.append(Piece("".join(plain)))
            plain = []
        found.append(Piece(f"U+{ord(char):04X}", name_of(char)))
    if plain:
        found.append(Piece("".join(plain)))
    return found


def has_hidden(text: str) -> bool:
    """Whether ``text`` carries anything beyond line ends that a reader could not see."""
    return any(hides(char) for char in text if char not in "\n\r\t")


def mixes_scripts(text: str) -> bool:
    """Whether one word mixes look-alike scripts, as ``p\u0430ypal`` with a Cyrillic letter does."""
    return any(len(_scripts_of(word)) > 1 for word in text.split())


def _scripts_of(word: str) -> set[str]:
    if word.isascii():
        return set()
    names = (unicodedata.name(char, "") for char in word if char.isalpha())
    return {script for name in names for script in _SCRIPTS if name.startswith(script)}
