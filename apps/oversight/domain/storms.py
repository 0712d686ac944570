"""Many requests of one job at once stand in one row of the queue.

A job storms where more than ``MOST`` of its waiting requests were asked within ``WITHIN``. Its row
stands for all that wait and were asked since the first moment at which that was so, the later ones
too: what a job that runs away asks afterwards belongs to the same trouble. Once too few of them are
left to be a storm, they stand in the list by themselves again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.kernel.moments import moment

MOST = 20  # of one job within that time stand in rows of their own
WITHIN = timedelta(minutes=5)
SOON = timedelta(minutes=15)
SEPARATOR = "~"
SLUG = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class StormKey:
    """A job, and since when its requests stand in one row."""

    job: str
    since: datetime

    @property
    def text(self) -> str:
        """As it stands in an address."""
        return f"{self.job}{SEPARATOR}{self.since.isoformat()}"


def key_of(text: str) -> StormKey | None:
    """What an address names; nothing for what can't be one."""
    job, _, at = text.partition(SEPARATOR)
    since = moment(at)
    return StormKey(job, since) if since and SLUG.fullmatch(job) else None
