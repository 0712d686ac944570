"""Whether two texts say the same: the one equality of every kind of document."""

from __future__ import annotations

from apps.kernel.canonical import digest
from apps.kernel.documents import load


def same(one: str, other: str, *, is_prose: bool = False) -> bool:
    """Whether two texts have the same values, whatever their comments, order of keys and layout.
    Prose, and texts that can't be read, are the same only to the letter."""
    if one == other or is_prose:
        return one == other
    left, right = load(one, exact=True), load(other, exact=True)
    if left.value is None or right.value is None or left.problems or right.problems:
        return False
    try:
        return digest(left.value, purpose="document") == digest(right.value, purpose="document")
    except ValueError:  # half a surrogate pair has no canonical form
        return False
