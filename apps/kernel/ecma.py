"""What a pattern of ECMA 262 (with its ``u`` flag) says, in the words of RE2.

Read character by character: what RE2 means differently is written out (``\\s``, ``.``), and what it
lacks is refused with the place and a way out. Where ECMA is strict though nothing is unclear (an
escaped ``-`` or ``@``, a lone ``}``), it is read as people mean it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

ANY, NONE = r"[\x{0}-\x{10FFFF}]", r"[^\x{0}-\x{10FFFF}]"
MOST_REPEATS, MOST_NESTED = 1000, 60
_HIGHEST = 0x10FFFF
_CATEGORIES = {
    "Letter": "L", "Cased_Letter": "L&", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll",
    "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M",
    "Combining_Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me",
    "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
    "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc",
    "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe",
    "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
    "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk",
    "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
    "Paragraph_Separator": "Zp", "Control": "Cc", "cntrl": "Cc", "Format": "Cf",
    "Surrogate": "Cs", "Private_Use": "Co",
}  # fmt: skip
_SHORT = frozenset(_CATEGORIES.values()) - {"L&"}
_SCRIPTS = {
    "Latn": "Latin", "Grek": "Greek", "Cyrl": "Cyrillic", "Hani": "Han", "Hira": "Hiragana",
    "Kana": "Katakana", "Hang": "Hangul", "Arab": "Arabic", "Hebr": "Hebrew", "Deva": "Devanagari",
    "Armn": "Armenian", "Geor": "Georgian", "Beng": "Bengali", "Taml": "Tamil", "Telu": "Telugu",
    "Zyyy": "Common", "Zinh": "Inherited",
}  # fmt: skip
_SPACES = (
    (0x9, 0xD), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_DIGITS = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_LINE_ENDS = ((0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029))
_OTHERS = {"ASCII": ((0, 0x7F),), "White_Space": (*_SPACES[:-1], (0x85, 0x85))}
_CONTROL = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_PLAIN_ESCAPES = frozenset("^$\\.*+?()[]{}|/ -_@#&:;,'\"`~!%=<>")
_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_REPEAT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_PROPERTY = re.compile(r"\{(?:([A-Za-z_]+)=)?([A-Za-z_]+)\}")
_FLAGS = re.compile(r"\(\?([ims]+)\)")
_NAMED = re.compile(r"\(\?<([A-Za-z_$][\w$]*)>")
_FOREIGN_NAMED = re.compile(r"\(\?P<([A-Za-z_]\w*)>")
_EDGE, _LETTER = r"\x01", r"\x02"  # the marks that a text of words carries; see patterns.py
_MARKS = ((1, 2),)
_ANYTHING = rf"(?:{_EDGE}*(?:[^\x01\x02]|{_LETTER}{ANY}))"
# Which letters and digits beyond ASCII belong to a class.
_LETTERS = {
    "d": (r"\p{Nd}",),
    "D": (r"\P{Nd}",),
    "w": (r"\x{0}-\x{10FFFF}",),
    "S": (r"\x{0}-\x{10FFFF}",),
}
_TO_REPEAT_LESS = "Repeat at most 1000 times, or bound the length with minLength and maxLength."

Ranges = tuple[tuple[int, int], ...]


class PatternError(ValueError):
    """A pattern that can't be used: ``message`` says why, ``fix`` what to write, ``at`` where."""

    def __init__(self, message: str, fix: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.message, self.fix, self.at = message, fix, at


def translate(source: str, *, words: bool = False, marked: bool = False) -> str:
    """RE2's way to say ``source``. With ``words``, letters, digits, spaces and edges of words are
    those of every script, and Python's usual spellings are understood; with ``marked``, for a text
    that carries the marks of ``patterns``. Raises PatternError."""
    return _Reader(source, words, marked).read()


@dataclass(slots=True)
class _Members:
    """What stands between brackets, as RE2 writes it. ``letters`` are those among letters and
    digits beyond ASCII, which a text of words marks."""

    items: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)

    def add(self, *items: str) -> None:
        self.items.extend(items)
        self.letters.extend(items)

    def add_ranges(self, *ranges: tuple[int, int]) -> None:
        self.add(*(_range(low, high) for low, high in ranges))


def _one(point: int) -> str:
    character = chr(point)
    return character if character.isascii() and character.isalnum() else rf"\x{{{point:X}}}"


def _range(low: int, high: int) -> str:
    return _one(low) if low == high else f"{_one(low)}-{_one(high)}"


def _outside(ranges: Ranges) -> Ranges:
    """All code points that aren't in ``ranges``, which are sorted."""
    out, following = [], 0
    for low, high in sorted(ranges):
        if following < low:
            out.append((following, low - 1))
        following = high + 1
    return (*out, (following, _HIGHEST)) if following <= _HIGHEST else tuple(out)


def _asserted(assertions: Iterable[str]) -> list[str]:
    """Assertions of one place, each once."""
    return sorted(dict.fromkeys(assertions), key=_order)


def _order(assertion: str) -> int:
    """Where an assertion stands among those of one place, which hold in any order. Edges are marks
    that are read, so the beginning is looked for before them and the end after them."""
    if assertion.endswith(("^", "^)")):
        return 0
    return 2 if "$" in assertion else 1


class _Reader:
    def __init__(self, source: str, words: bool, marked: bool) -> None:
        self.source, self.words, self.marked = source, words, marked
        self.at = self.depth = 0
        self.flags = ""

    def read(self) -> str:
        if self.words and (found := _FLAGS.match(self.source)):
            self.flags, self.at = found[1], found.end()
        written = self.alternatives()
        if self.at < len(self.source):
            raise self.wrong("“)” closes nothing.", r"Write “\)”.")
        if "m" in self.flags:
            written = f"(?m:{written})"
        # Begun from the start, lest a letter be taken for an ordinary character behind its mark.
        return rf"\A{_ANYTHING}*?(?:{written})" if self.marked else written

    def wrong(self, message: str, fix: str = "") -> PatternError:
        return PatternError(f"{message[:-1]} (at character {self.at + 1}).", fix, self.at)

    def peek(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def next(self) -> str:
        if self.at >= len(self.source):
            raise self.wrong("The pattern ends too early.", r"A backslash is written “\\”.")
        self.at += 1
        return self.source[self.at - 1]

    def alternatives(self) -> str:
        parts = [self.sequence()]
        while self.peek("|"):
            self.at += 1
            parts.append(self.sequence())
        return "|".join(parts)

    def sequence(self) -> str:
        out: list[str] = []
        asserted: list[str] = []  # at the place that has been reached
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            start = self.at
            written, is_assertion = self.term()
            repeat = self.repeat()
            if repeat and is_assertion:
                self.at = start
                raise self.wrong("An assertion can't be repeated.", "Leave the repetition out.")
            if is_assertion:
                asserted.append(written)
                continue
            out += [*_asserted(asserted), written + repeat]
            asserted = []
        return "".join([*out, *_asserted(asserted)])

    def term(self) -> tuple[str, bool]:
        """The next term, and whether it asserts something without taking a character."""
        character = self.next()
        if character == "^":
            return "^", True
        if character == "$":
            return (rf"(?:{_EDGE}*$)" if self.marked else "$"), True
        if character == "(":
            self.at -= 1
            return self.group(), False
        if character == "[":
            return self.brackets(), False
        if character == "\\":
            return self.escape()
        if character in "*+?":
            self.at -= 1
            raise self.wrong(f"“{character}” repeats nothing.", f"Write “\\{character}”.")
        if character == ".":
            return self.dot(), False
        return self.literal(self.point_of(character)), False

    def point_of(self, character: str) -> int:
        if 0xD800 <= ord(character) <= 0xDFFF:
            self.at -= 1
            raise self.wrong("Half of a surrogate pair stands alone.", "Write the whole character.")
        return ord(character)

    def dot(self) -> str:
        if "s" in self.flags:
            ends: Ranges = ()
        else:
            ends = _LINE_ENDS[:1] if self.words else _LINE_ENDS
        members = _Members()
        members.add_ranges(*ends)
        return self.members(members, negated=True)

    def literal(self, point: int) -> str:
        if not self.marked:
            return _one(point)
        members = _Members()
        members.add_ranges((point, point))
        return self.members(members)

    def repeat(self) -> str:
        if self.at < len(self.source) and self.source[self.at] in "*+?":
            sign = self.next()
        elif found := _REPEAT.match(self.source, self.at):
            sign = self.bounds(found)
            self.at = found.end()
        else:
            return ""
        if self.peek("?"):
            self.at += 1
            sign += "?"
        if self.at < len(self.source) and self.source[self.at] in "*+?":
            raise self.wrong("A repetition is repeated.", "Put what is repeated in “(?:…)”.")
        return sign

    def bounds(self, found: re.Match[str]) -> str:
        low, comma, high = found.groups()
        numbers = [int(n[:9]) for n in (low, high) if n]
        if max(numbers) > MOST_REPEATS:
            raise self.wrong(f"It repeats more than {MOST_REPEATS} times.", _TO_REPEAT_LESS)
        if numbers != sorted(numbers) or (high and not comma):
            raise self.wrong("The repetition's bounds are the wrong way round.", "Swap them.")
        return f"{{{numbers[0]}{comma}{numbers[1] if high else ''}}}"

    def group(self) -> str:
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self.wrong("It is nested too deeply.", "Flatten it.")
        opening = self.opening()
        written = self.alternatives()
        if not self.peek(")"):
            raise self.wrong("A “(” is never closed.", r"Add “)”, or write “\(”.")
        self.at += 1
        self.depth -= 1
        return f"{opening}{written})"

    def opening(self) -> str:
        for around in _AROUND:
            if self.peek(around):
                fix = "Say it without looking around: with alternatives, or in a second rule."
                raise self.wrong(f"“{around}” looks around, which takes too long to try.", fix)
        named = _NAMED.match(self.source, self.at)
        if not named and self.words:
            named = _FOREIGN_NAMED.match(self.source, self.at)
        if named:
            self.at = named.end()
            return "(?:"
        for opening in ("(?:", "(?i:"):
            if self.peek(opening):
                self.at += len(opening)
                return opening
        if self.peek("(?"):
            fix = "Write “(?:…)” or “(…)”; both cases of a letter are “[aA]”."
            raise self.wrong(f"“{self.source[self.at : self.at + 4]}” opens no group.", fix)
        self.at += 1
        return "(?:"

    def escape(self) -> tuple[str, bool]:
        """What a backslash begins, outside of brackets."""
        character = self.next()
        if character in "bB":
            return self.word_edge(character), True
        if self.words and character in "AZ":
            return {"A": "(?-m:^)", "Z": rf"(?:{_EDGE}*(?-m:$))"}[character], True
        if character == "k" or character in "123456789":
            self.at -= 1
            fix = "Write what has to be found again a second time, or check it in a second rule."
            raise self.wrong("It refers back to a group, which takes too long to try.", fix)
        self.at -= 1
        members = _Members()
        point = self.member_escape(members)
        if point is not None:
            return self.literal(point), False
        return self.members(members), False

    def word_edge(self, character: str) -> str:
        if not self.words:
            return f"\\{character}"
        if character == "B":
            raise self.wrong(r"“\B” is not known here.", r"Write “\w” beside it.")
        while self.peek(r"\b"):
            self.at += 2
        return _EDGE if self.marked else r"\b"

    def brackets(self) -> str:
        start = self.at - 1
        negated = self.peek("^")
        self.at += negated
        members = _Members()
        while not self.peek("]"):
            if self.at >= len(self.source):
                self.at = start
                raise self.wrong("A “[” is never closed.", r"Add “]”, or write “\[”.")
            self.member(members)
        self.at += 1
        return self.members(members, negated=negated)

    def member(self, members: _Members) -> None:
        low = self.member_point(members)
        if not self.peek("-") or self.source[self.at + 1 : self.at + 2] in ("]", ""):
            if low is not None:
                members.add_ranges((low, low))
            return
        self.at += 1
        high = self.member_point(members)
        if low is None or high is None:  # “[\w-.]”: a hyphen beside a class means itself
            members.add_ranges(*((p, p) for p in (low, 0x2D, high) if p is not None))
        elif low > high:
            raise self.wrong("A range goes down.", "Swap its ends.")
        else:
            members.add_ranges((low, high))

    def member_point(self, members: _Members) -> int | None:
        character = self.next()
        if character != "\\":
            return self.point_of(character)
        return self.member_escape(members)

    def member_escape(self, members: _Members) -> int | None:
        """Read what follows a backslash: a code point, or None when members were added."""
        character = self.next()
        if character in "dDsSwW":
            self.class_escape(character, members)
            return None
        if character in "pP":
            members.add(self.property(character))
            return None
        if character in _CONTROL:
            return _CONTROL[character]
        if character in _PLAIN_ESCAPES:
            return ord(character)
        return self.numbered(character)

    def class_escape(self, character: str, members: _Members) -> None:
        ranges: Ranges = {"d": _DIGITS, "s": _SPACES, "w": _WORD}[character.lower()]
        if self.words and character in "sS":
            ranges = (*ranges, (0x1C, 0x1F), (0x85, 0x85))
        if character.isupper():
            ranges = _outside((*ranges, *_MARKS) if self.marked else ranges)
        members.items.extend(_range(low, high) for low, high in ranges)
        members.letters.extend(_LETTERS.get(character, ()))

    def property(self, character: str) -> str:
        found = _PROPERTY.match(self.source, self.at)
        if not found:
            raise self.wrong("A property is written in braces.", r"Such as “\p{L}”.")
        kind, name = found.groups()
        written = _property(kind, name)
        if not written:
            fix = r"Known are categories (“\p{L}”) and scripts (“\p{Script=Greek}”)."
            raise self.wrong(f"The property “{name}” is not known here.", fix)
        if character == "P" and (self.words or not written.startswith(r"\p")):
            raise self.wrong(r"“\P” is not known here.", rf"Write “[^\p{{{name}}}]”.")
        self.at = found.end()
        return written.replace(r"\p", f"\\{character}", 1)

    def numbered(self, character: str) -> int:
        r"""``\u0041``, ``\u{1F600}``, ``\x41``, ``\cJ``, ``\0``, or in brackets ``\b``."""
        rest = self.source[self.at :]
        if found := _numbered(character, rest):
            length, point = found
            if not 0xD800 <= point <= 0xDFFF and point <= _HIGHEST:
                self.at += length
                return point
        self.at -= 1
        fix = f"Write “{character}”, or its number as “\\u{ord(character):04X}”."
        raise self.wrong(f"“\\{character}” means nothing in ECMA 262.", fix)

    def members(self, members: _Members, *, negated: bool = False) -> str:
        if not self.marked:
            return _bracketed(members.items, negated)
        # An ordinary character carries no mark; a letter or digit beyond ASCII carries one.
        marks = [_range(*_MARKS[0])] if negated else []
        ordinary = _bracketed([*members.items, *marks], negated)
        letter = _bracketed(members.letters, negated)
        return rf"(?:{_EDGE}*(?:{ordinary}|{_LETTER}{letter}))"


def _bracketed(items: list[str], negated: bool) -> str:
    if not items:
        return ANY if negated else NONE
    return f"[{'^' if negated else ''}{''.join(items)}]"


def _property(kind: str | None, name: str) -> str:
    """RE2's name of a property; empty when neither knows it."""
    if kind in (None, "General_Category", "gc"):
        if name in _SHORT:
            return rf"\p{{{name}}}"
        if name in _CATEGORIES:
            short = _CATEGORIES[name]
            return r"\p{Lu}\p{Ll}\p{Lt}" if short == "L&" else rf"\p{{{short}}}"
    if kind is None and name == "Any":
        return _range(0, _HIGHEST)
    if kind is None and name in _OTHERS:
        return "".join(_range(low, high) for low, high in _OTHERS[name])
    if kind in ("Script", "sc") and name[:1].isupper():
        return rf"\p{{{_SCRIPTS.get(name, name)}}}"
    return ""


_FOUR = re.compile(r"u([0-9A-Fa-f]{4})")
_PAIR = re.compile(r"u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
_BRACES = re.compile(r"u\{0*([0-9A-Fa-f]{1,6})\}")
_TWO = re.compile(r"x([0-9A-Fa-f]{2})")
_LETTERED = re.compile(r"c([A-Za-z])")


def _numbered(character: str, rest: str) -> tuple[int, int] | None:
    """How many more characters say the number, and which code point it is."""
    text = character + rest
    if found := _PAIR.match(text):
        high, low = int(found[1], 16), int(found[2], 16)
        return len(found[0]) - 1, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    for shape in (_FOUR, _BRACES, _TWO):
        if found := shape.match(text):
            return len(found[0]) - 1, int(found[1], 16)
    if found := _LETTERED.match(text):
        return 1, ord(found[1]) % 32
    if character == "0" and not rest[:1].isdigit():
        return 0, 0
    return (0, 8) if character == "b" else None
