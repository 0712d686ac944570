"""What processes use: processor time and memory."""

from __future__ import annotations

import psutil


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and its descendants that are still there."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its descendants, those that have ended included."""
    found = 0.0
    for process in tree_of(pid):
        try:
            found += sum(process.cpu_times()[:4])  # user, system, and those of ended children
        except psutil.NoSuchProcess:
            continue
    return found


def resident_mb(pid: int) -> float:
    """The largest resident set among a process and its descendants, in MB."""
    sizes = [0.0]
    for process in tree_of(pid):
        try:
            sizes.append(process.memory_info().rss / 1_000_000)
        except psutil.NoSuchProcess:
            continue
    return max(sizes)
