"""Which live streams an event belongs to: derived, so that it is never stored twice."""

from __future__ import annotations

STREAM_OF_PREFIX = {
    "approval": "approvals",
    "run": "runs",
    "step": "runs",
    "desk": "tower",
    "breaker": "tower",
    "contract": "catalog",
    "policy": "catalog",
}


def streams_of(kind: str, run_id: str | None) -> tuple[str, ...]:
    """Streams that a browser may listen on to hear of an event of ``kind``: the page's own stream,
    ``run:<id>`` where it concerns a run, and ``tower`` (the home page) for all but single steps."""
    prefix = kind.split(".", 1)[0]
    streams = [STREAM_OF_PREFIX.get(prefix, "tower")]
    if run_id:
        streams.append(f"run:{run_id}")
    if prefix != "step" and "tower" not in streams:
        streams.append("tower")
    return tuple(streams)
