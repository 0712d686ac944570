"""Text as a solver sees it: a finite list of words.

Rules compare texts with each other, with texts that they name, and with patterns. So a text can
only matter as one that is named, or as any other that matches the same patterns. For each set of
patterns that a text can match at all there are as many words here as a question has unknown texts,
or all that exist: whatever a request could hold, another with these words is answered alike.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

WILDCARD = ""  # in a pattern, beside single characters
MOST_STATES = 4_000
OTHERS = 8

Pattern = tuple[str, ...]


class TooManyError(Exception):
    """The patterns of a text have too much to do with each other."""


@dataclass(frozen=True, slots=True)
class Words:
    """``all``: the words, by their numbers; ``matching``: for each pattern those that match it, by
    number."""

    all: tuple[str, ...]
    matching: dict[Pattern, frozenset[int]]

    def number(self, word: str) -> int:
        return self.all.index(word)


def words_for(named: Iterable[str], patterns: Iterable[Pattern], spare: int) -> Words:
    """The words of a question that names these texts and patterns and has ``spare`` unknown texts.
    Raises ``TooManyError``."""
    kept, asked = sorted(set(named)), sorted(set(patterns))
    seen = set(kept)
    for words in _by_class(asked, spare + len(kept)).values():
        fresh = [word for word in words if word not in seen][:spare]
        kept += fresh
        seen.update(fresh)
    matching = {
        pattern: frozenset(n for n, word in enumerate(kept) if matches(word, pattern))
        for pattern in asked
    }
    return Words(tuple(kept), matching)


def matches(word: str, pattern: Pattern) -> bool:
    """Whether a pattern matches the whole word."""
    states = _opened(frozenset({0}), pattern)
    for letter in word:
        states = _moved(states, letter, pattern)
    return len(pattern) in states


def _opened(states: frozenset[int], pattern: Pattern) -> frozenset[int]:
    """With what wildcards reach without reading anything."""
    found = set(states)
    for state in sorted(states):
        at = state
        while at < len(pattern) and pattern[at] == WILDCARD:
            at += 1
            found.add(at)
    return frozenset(found)


def _moved(states: frozenset[int], letter: str, pattern: Pattern) -> frozenset[int]:
    after = set()
    for state in states:
        if state < len(pattern):
            if pattern[state] == WILDCARD:
                after.add(state)
            elif pattern[state] == letter:
                after.add(state + 1)
    return _opened(frozenset(after), pattern)


State = tuple[frozenset[int], ...]


def _by_class(patterns: Sequence[Pattern], most: int) -> dict[tuple[bool, ...], list[str]]:
    """By which of the patterns match: that many of the shortest words, or all there are."""
    found: dict[tuple[bool, ...], list[str]] = defaultdict(list)
    letters = _letters(patterns)
    visits: dict[State, int] = defaultdict(int)
    start = tuple(_opened(frozenset({0}), pattern) for pattern in patterns)
    waiting: deque[tuple[State, str]] = deque([(start, "")])
    while waiting:
        state, word = waiting.popleft()
        if visits[state] >= most:  # what comes after has as many words already
            continue
        visits[state] += 1
        if len(visits) > MOST_STATES:
            raise TooManyError
        found[_accepts(state, patterns)].append(word)
        waiting.extend(_next(state, word, letters, patterns))
    return found


def _next(
    state: State, word: str, letters: Sequence[str], patterns: Sequence[Pattern]
) -> Iterator[tuple[State, str]]:
    for letter in letters:
        pairs = zip(state, patterns, strict=True)
        yield tuple(_moved(s, letter, p) for s, p in pairs), word + letter


def _accepts(state: State, patterns: Sequence[Pattern]) -> tuple[bool, ...]:
    return tuple(len(p) in s for s, p in zip(state, patterns, strict=True))


def _letters(patterns: Sequence[Pattern]) -> list[str]:
    """Those of the patterns, and some that are in none, which all behave alike: with several the
    words stay short."""
    used = {letter for pattern in patterns for letter in pattern if letter}
    others = (letter for letter in map(chr, range(ord("a"), 0x10FFFF)) if letter not in used)
    return [*islice(others, OTHERS), *sorted(used)]
