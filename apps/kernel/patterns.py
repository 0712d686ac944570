"""Regular expressions from outside: read as ECMA 262 says, run by an engine that is linear.

Contracts, tool servers and packs bring patterns, and customers bring the text that they are tried
on. RE2 takes time in proportion to pattern and text whatever both are; what it can't do (looking
around, referring back) is refused here with the place and a way out, as is anything that ECMA 262
doesn't know. A pattern is written anew for RE2, so that its own dialect never shows through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import re2

from apps.kernel.ecma import PatternError, translate

MOST_CHARACTERS = 4000  # of a pattern
MOST_MEMORY = 8 << 20  # of one compiled pattern, in bytes
MOST_INSTRUCTIONS = 20_000
MOST_WORK = 2 * 10**8  # instructions times characters: about half a second at worst
MOST_TEXT = 2_000_000

# Every edge of a word gets marks (more than one, as two assertions may stand at one place), and so
# does every letter or digit beyond ASCII: RE2 knows words of ASCII letters only.
_EDGE, _LETTER = re.compile(r"\b"), re.compile(r"[^\W\x00-\x7f]")
_MARKS_IN_TEXT = str.maketrans({"\x01": " ", "\x02": " "})


class TooLongError(ValueError):
    """The text is longer than the pattern may be tried on."""


@dataclass(frozen=True)
class Pattern:
    """A usable pattern. ``words`` makes it one for people's language: case is ignored, and words,
    letters and digits are those of every script."""

    source: str
    words: bool = False

    def found_in(self, text: str) -> bool:
        """Whether the pattern is found anywhere in ``text``. Raises TooLongError for a text that
        is longer than this pattern may be tried on."""
        if not self.words or text.isascii():
            return _found(self._plain, text)
        return _found(self._marked, _marked(text))

    @cached_property
    def _plain(self) -> Any:
        return _compiled(translate(self.source, words=self.words), self.words)

    @cached_property
    def _marked(self) -> Any:
        return _compiled(translate(self.source, words=True, marked=True), self.words)


@lru_cache(maxsize=4096)
def pattern(source: str, *, words: bool = False) -> Pattern:
    """The pattern that ``source`` says. Raises PatternError, with message, place and fix, when it
    can't be used."""
    if len(source) > MOST_CHARACTERS:
        message = f"It is longer than {MOST_CHARACTERS:,} characters."
        raise PatternError(message, "Shorten it.", MOST_CHARACTERS)
    made = Pattern(source, words)
    _ = made._plain, words and made._marked
    return made


def _compiled(written: str, ignore_case: bool) -> Any:
    options = re2.Options()
    options.max_mem, options.log_errors = MOST_MEMORY, False
    options.case_sensitive, options.never_capture = not ignore_case, True
    try:
        made = re2.compile(written.encode(), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "not readable"
        raise PatternError(f"It can't be used: {reason[:120]}.", "Write it more simply.") from None
    if made.programsize > MOST_INSTRUCTIONS:
        raise PatternError("It is too large.", "Repeat less, or use minLength and maxLength.")
    return made


def _found(made: Any, text: str) -> bool:
    if len(text) > min(MOST_TEXT, MOST_WORK // max(made.programsize, 1)):
        raise TooLongError
    return made.search(_bytes(text)) is not None


def _bytes(text: str) -> bytes:
    """UTF-8 of a text; halves of a pair that belong together are joined, and a half that stands
    alone, which UTF-8 has no bytes for, is the character for what can't be shown."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


@lru_cache(maxsize=256)
def _marked(text: str) -> str:
    text = text.translate(_MARKS_IN_TEXT)
    return _LETTER.sub("\x02\\g<0>", _EDGE.sub("\x01\x01\x01", text))
