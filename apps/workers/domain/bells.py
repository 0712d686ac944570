"""Which entries of a lane's queue are bells of ours.

A queue lies in Redis, and whoever can write there can put any function's name into it. A bell says
one thing, so it has one form; what has another is never run.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

TASK = "apps.runs.tasks.drain"
MOST_BYTES = 4096  # of what an entry says, unpacked
# What RQ itself writes beside the call of a bell, and nothing that could call something else.
_KEPT = {
    *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "worker_name"),
    *("description", "origin", "timeout", "result_ttl", "failure_ttl", "status", "data"),
    *("exc_info", "result", "group_id"),
}
_EMPTY = {"success_callback_name", "failure_callback_name", "stopped_callback_name", "group_id"}


def why_refused(entry: Mapping[bytes, bytes], lane: str) -> str:
    """Half a sentence that says why an entry of RQ isn't an invitation to drain ``lane``: "" if it
    is one. ``entry`` is its hash, as Redis gave it."""
    fields = {name.decode("utf-8", "replace"): value for name, value in entry.items()}
    told = sorted(name for name, value in fields.items() if value and name in _EMPTY)
    told += sorted(fields.keys() - _KEPT - _EMPTY)
    if told:
        return f"it has “{told[0][:40]}”, which no bell has"
    if fields.get("origin", b"") != lane.encode():
        return "it is of another lane"
    if fields.get("timeout", b"-1") != b"-1":
        return "it has a time limit, which no bell has"
    return _why_no_drain(fields.get("data", b""), lane)


def _why_no_drain(data: bytes, lane: str) -> str:
    try:
        said = zlib.decompressobj().decompress(data, MOST_BYTES)
        call = json.loads(said)
    except (zlib.error, ValueError, RecursionError):
        return "what it would call is not in the form of a bell"
    if call == [TASK, None, [lane], {}]:
        return ""
    named = call[0] if isinstance(call, list) and call and isinstance(call[0], str) else ""
    if named and named != TASK:
        return f"it would call “{named[:80]}”"
    return "what it would call is not in the form of a bell"
