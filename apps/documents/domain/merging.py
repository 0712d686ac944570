"""Two texts written from one: what each changed, put together line by line (diff3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Merged:
    """``text`` has what both changed. Where both changed the same lines it has ``mine``;
    ``conflicts`` are those places: the line of ``text``, and what ``theirs`` says there."""

    text: str
    conflicts: tuple[tuple[int, str], ...] = ()


def merge(base: str, mine: str, theirs: str) -> Merged:
    """What ``mine`` and ``theirs`` made of ``base``, together."""
    lines: list[str] = []
    conflicts: list[tuple[int, str]] = []
    for old, left, right in _chunks(_lines(base), _lines(mine), _lines(theirs)):
        if left == old:
            lines += right
            continue
        if right not in (old, left):
            conflicts.append((len(lines) + 1, "".join(right)))
        lines += left
    return Merged("".join(lines), tuple(conflicts))


Lines = Sequence[str]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _chunks(base: Lines, mine: Lines, theirs: Lines) -> Iterator[tuple[Lines, Lines, Lines]]:
    """The three texts cut at the lines that all of them share: (base, mine, theirs) each."""
    left, right = _matches(base, mine), _matches(base, theirs)
    at = (0, 0, 0)
    for i in range(len(base)):
        if i not in left or i not in right:
            continue
        j, k = left[i], right[i]
        if at != (i, j, k):
            yield base[at[0] : i], mine[at[1] : j], theirs[at[2] : k]
        yield base[i : i + 1], mine[j : j + 1], theirs[k : k + 1]
        at = (i + 1, j + 1, k + 1)
    if base[at[0] :] or mine[at[1] :] or theirs[at[2] :]:
        yield base[at[0] :], mine[at[1] :], theirs[at[2] :]


def _matches(base: Lines, other: Lines) -> dict[int, int]:
    """The line of ``other`` that each kept line of ``base`` is."""
    blocks = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return {b.a + n: b.b + n for b in blocks for n in range(b.size)}
