"""What the log itself does with what was delivered: tell the live pages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from apps.audit import fanout, registry
from apps.audit.services import Notice
from apps.kernel.transactions import after_commit


def tell_screens(notices: Sequence[Notice]) -> None:
    """Tick on every stream that these events belong to, once each. Whoever committed them has done
    so at once; this is for what a crash between left out."""
    latest = {
        stream: notice
        for notice in notices
        for stream in registry.streams_of(
            notice.kind, str(notice.run_id) if notice.run_id else None
        )
    }
    ticks = [(stream, n.id, n.kind, n.subject_id) for stream, n in latest.items()]
    after_commit(partial(fanout.tick_many, ticks))
