"""RQ's jobs, as this product takes them: bells, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from rq.exceptions import NoSuchJobError
from rq.job import Job

from apps.workers.domain.bells import why_refused

logger = logging.getLogger(__name__)
# What a date that is none or a state that RQ doesn't know is to its reader. Anything else is this
# process's trouble (no memory, no files), and no fault of the entry's.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class Bell(Job):
    """An entry of the lane that this process serves.

    Every way by which RQ reads an entry (to run it, to look at it again, to tidy up after it) goes
    through ``restore``, so an entry that is no bell doesn't exist for it: nothing that it names is
    called, imported or fetched. It is taken off the queue.
    """

    lane: ClassVar[str] = ""
    refused: ClassVar[list[str]] = []  # why, of entries that nobody was told of yet

    def restore(self, raw_data: Mapping[bytes, bytes]) -> Any:
        why = why_refused(raw_data, self.lane)
        if not why:
            try:
                return super().restore(raw_data)
            except UNREADABLE as error:
                why = f"it can't be read ({type(error).__name__})"
        self._refuse(why)
        raise NoSuchJobError(f"Not a bell: {why}")

    def _refuse(self, why: str) -> None:
        logger.warning("an entry of the queue of lane %s was refused: %s", self.lane, why)
        Bell.refused.append(why)
        self.connection.delete(self.key)


class Telling:
    """When refused entries are told: at once, and then at most once a minute, however many there
    are."""

    EVERY_S = 60.0

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def due(self) -> tuple[int, str]:
        """How many were refused since it was last told, and why the last one was; (0, "") while
        there is nothing to tell."""
        if not Bell.refused or time.monotonic() - self._told_at < self.EVERY_S:
            return 0, ""
        self._told_at = time.monotonic()
        found = len(Bell.refused), Bell.refused[-1]
        Bell.refused.clear()
        return found
