"""Whether a reason says anything: for answers from high risk up, which others have to follow."""

from __future__ import annotations

import re
import unicodedata

LEAST_LETTERS = 8
LEAST_SIGNS = 4  # of a script that writes a word in one or two
LEAST_DIFFERENT = 4
WORD = re.compile(r"[^\W_]+")
# Words of which any number says nothing about the case.
EMPTY_WORDS = (
    "a above all and approve approved approving as asdf before below can check checked checking"
    " confirm confirmed correct do done everything fine for go good great have i is it just lgtm"
    " looking looks me na nice no none nothing now of ok okay please proceed qwerty reject"
    " rejected right seems see sure test testing that the this to valid was yep yes you"
)
EMPTY = frozenset(EMPTY_WORDS.split())
KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qwertzuiop", "abcdefghij")
RUN = 4  # neighbouring keys


def fault(reason: str) -> str:
    """What is wrong with a reason, as a sentence; nothing if it says something."""
    words = WORD.findall(unicodedata.normalize("NFKC", reason).casefold())
    letters = "".join(words)
    if not letters:
        return "Say why in words."
    if len(set(letters)) < LEAST_DIFFERENT or _is_mashed(words):
        return "These are the same keys again: say what you looked at."
    told = [word for word in words if word not in EMPTY]
    if not told:
        return "These words fit any request: say what you looked at in this one."
    if not any(word.isalpha() for word in told):
        return "A number alone is no reason: say what you looked at."
    least = LEAST_SIGNS if any(_is_dense(sign) for sign in letters) else LEAST_LETTERS
    return "" if len(letters) >= least else "That is too short for this risk: say what you saw."


def _is_mashed(words: list[str]) -> bool:
    """Whether every word is one piece over and over, or a walk along the keyboard."""
    return all(_repeats(word) or _walks(word) for word in words)


def _repeats(word: str) -> bool:
    return len(word) > RUN and bool(re.fullmatch(r"(.{1,4}?)\1+.?", word))


def _walks(word: str) -> bool:
    if len(word) < RUN:
        return False
    pieces = [word[i : i + RUN] for i in range(len(word) - RUN + 1)]
    rows = [*KEY_ROWS, *(row[::-1] for row in KEY_ROWS)]
    return all(any(piece in row for row in rows) for piece in pieces)


def _is_dense(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in {"W", "F"}
