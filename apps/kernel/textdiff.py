"""Two texts side by side, for people who publish one in place of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class DiffLine:
    """``kind``: same, changed, added, removed, or gap (``left_text`` says how many lines)."""

    kind: str
    left_number: int | None = None
    left_text: str = ""
    right_number: int | None = None
    right_text: str = ""


def side_by_side(before: str, after: str) -> list[DiffLine]:
    """The rows of a comparison; long stretches without a change are folded into a gap."""
    left, right = before.splitlines(), after.splitlines()
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    rows: list[DiffLine] = []
    shown = 0
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        start = group[0][1]
        if start > shown:
            rows.append(_gap(start - shown))
        for tag, i1, i2, j1, j2 in group:
            rows.extend(_block(tag, left, right, (i1, i2, j1, j2)))
        shown = group[-1][2]
    if rows and len(left) > shown:
        rows.append(_gap(len(left) - shown))
    return rows


def _gap(count: int) -> DiffLine:
    return DiffLine("gap", left_text=f"{count} unchanged line{'' if count == 1 else 's'}")


def _block(
    tag: str, left: list[str], right: list[str], span: tuple[int, int, int, int]
) -> Iterator[DiffLine]:
    i1, i2, j1, j2 = span
    for offset in range(max(i2 - i1, j2 - j1)):
        i, j = i1 + offset, j1 + offset
        has_left, has_right = i < i2, j < j2
        kind = "same" if tag == "equal" else "changed"
        if not has_right:
            kind = "removed"
        elif not has_left:
            kind = "added"
        yield DiffLine(
            kind,
            i + 1 if has_left else None,
            left[i] if has_left else "",
            j + 1 if has_right else None,
            right[j] if has_right else "",
        )
