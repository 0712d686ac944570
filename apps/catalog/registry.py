"""Who knows how many runs follow a contract: an app on a higher floor, which names its function
when it is ready."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from django.utils.module_loading import import_string

Counted = Callable[[str], Mapping[int, int]]  # of a job: number of its contract → runs on their way

_counts: dict[str, None] = {}


def count_open_runs_by(path: str) -> None:
    """Ask this function, given by dotted path, how many runs of a job are on their way."""
    _counts[path] = None


def open_runs(job_slug: str) -> dict[int, int]:
    """``{contract version: runs on their way}``: these stay on their version whatever is
    published."""
    found = Counter[int]()
    for path in _counts:
        count: Counted = import_string(path)
        found.update(count(job_slug))
    return dict(sorted(found.items()))
