"""How much a commit takes: large answers and previews one at a time.

A commit copies what it records several times (rows, digests, questions, JSON), so that sixty large
ones at once would need gigabytes, and take so long that leases run out meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.kernel.exactjson import dumps
from apps.runs.work import Claimed, Finished

LARGE = 256 * 1024  # characters and bytes: what takes its time to be recorded
MOST = 4 * 1024 * 1024  # of all that a commit takes beside a large one

Ended = Finished | Claimed


def weighed(work: Claimed) -> Claimed:
    """A step whose effect was looked at, with its ``size``: what came with it, and what it is
    about."""
    work.size = sum(len(dumps(v)) for v in (work.arguments, work.facts, work.preview))
    return work


def size(one: Ended) -> int:
    """About how much of an ended action is recorded, in characters and bytes."""
    if isinstance(one, Claimed):
        return one.size
    files = sum(len(part.body) for part in one.result.parts if part.body is not None)
    return len(one.result.content) + files


def part(ended: Sequence[Ended], *, count: int) -> tuple[list[Ended], list[Ended]]:
    """What the next commit takes of what has ended, and what is left to the ones after it. One at
    least, at most ``count``, one large one at most; small ones pass large ones that wait."""
    taken: list[Ended] = []
    left: list[Ended] = []
    has_large, room = False, MOST
    for one in ended:
        found = size(one)
        is_large = found > LARGE
        if len(taken) == count or (has_large if is_large else found > room):
            left.append(one)
            continue
        taken.append(one)
        has_large |= is_large
        room -= 0 if is_large else found
    return taken, left
