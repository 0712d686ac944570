"""Token buckets, kept in a row and filled by the database's clock."""

from __future__ import annotations


def filled(left: str, since: str, *, a_second: str, most: str) -> str:
    """SQL for what is in a bucket now: the ``left`` of the moment ``since``, and ``a_second`` more
    each second, up to ``most``. Each is SQL."""
    passed = f"GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - {since}))"
    return f"LEAST({most}, {left} + {a_second} * {passed})"
