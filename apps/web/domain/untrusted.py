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
# Letters that Unicode's table of confusables (UTS 39) gives a Latin one for, of the two scripts in
# which whole words can be written with them; of small Greek ones those that look exactly so.
_POSING = frozenset(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u04cf"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0405\u0406\u0408\u04ae\u050c\u051c"
    "\u03b1\u03bd\u03bf\u03c1"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_SHAPES = frozenset({"<wide>", "<font>", "<circle>"})
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
    """Whether a word can be taken for another one: it mixes look-alike scripts, as ``p\u0430ypal``
    with a Cyrillic letter does; has Latin letters of another shape (fullwidth, mathematical,
    circled); or is made of letters of another script that look Latin, all of them."""
    if text.isascii():
        return False
    if any(map(_is_reshaped, set(text))):
        return True
    return any(len(_scripts_of(word)) > 1 or _poses(word) for word in set(text.split()))


@lru_cache(maxsize=4096)
def _is_reshaped(char: str) -> bool:
    kind = unicodedata.decomposition(char).partition(" ")[0]
    plain = unicodedata.normalize("NFKC", char)
    return kind in _SHAPES and plain.isascii() and plain.isalpha()


def _poses(word: str) -> bool:
    letters = [char for char in word if char.isalpha()] if not word.isascii() else []
    # Two letters are too often a word of their own language.
    return len(letters) > 2 and _POSING.issuperset(letters)


def _scripts_of(word: str) -> set[str]:
    if word.isascii():
        return set()
    return {script for char in set(word) if char.isalpha() and (script := _script_of(char))}


@lru_cache(maxsize=4096)
def _script_of(char: str) -> str:
    name = unicodedata.name(char, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), "")
