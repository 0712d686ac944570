"""What follows when somebody has just said no: one person more has to agree.

For a while after a request was rejected, the same one (``domain.repeats``) takes a vote more than
it would take otherwise. So nobody gets a yes by asking until one person is tired of saying no.
"""

from __future__ import annotations


def votes_wanted(asked: int, *, is_cooling: bool) -> int:
    """How many different people have to agree: as many as contract or policy ask, one at least, and
    one more after a rejection. So it is never one person alone then."""
    return max(asked, 1) + is_cooling
