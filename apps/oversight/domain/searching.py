"""What somebody who types into the search field of the queue looks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_TERMS = 8
_AMOUNT = re.compile(r"[$€£]?(\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.(\d{1,2}))?")
_ID = re.compile(r"[0-9a-f-]{6,36}")
_BEFORE_ID = {"run", "request", "approval", "step"}


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """One word, every one of which has to be found. ``text`` is looked for in all that is shown;
    ``id_part`` (lower-case hex, or "") in the ids of the run and the request; ``cents`` is the
    least and the most that an amount may be to be meant."""

    text: str
    id_part: str = ""
    cents: tuple[int, int] | None = None


def terms(typed: str) -> tuple[SearchTerm, ...]:
    """The words of a search. Ids are found in each form in which a page prints them: whole, with or
    without hyphens, or their last eight characters after "run"; orders with or without "#"; amounts
    as $4,986.00, 4986.00 or, of any cents, 4,986. Quotation marks keep words together."""
    words = [quoted or word for quoted, word in re.findall(r'"([^"]*[^"\s][^"]*)"|(\S+)', typed)]
    kept = [w for w, following in zip(words, [*words[1:], ""], strict=False) if _says(w, following)]
    return tuple(_term(word) for word in kept[:MOST_TERMS])


def _says(word: str, following: str) -> bool:
    """Whether a word is one to look for, and not only said before an id."""
    return not (word.lower() in _BEFORE_ID and _ID.fullmatch(following.lower()))


def _term(word: str) -> SearchTerm:
    lower = word.lower()
    id_part = lower.replace("-", "") if _ID.fullmatch(lower) else ""
    return SearchTerm(word.removeprefix("#") or word, id_part, _cents(word))


def _cents(word: str) -> tuple[int, int] | None:
    found = _AMOUNT.fullmatch(word)
    if not found:
        return None
    whole = int(found[1].replace(",", "")) * 100
    if found[2] is None:
        return whole, whole + 99
    exact = whole + int(found[2].ljust(2, "0"))
    return exact, exact
