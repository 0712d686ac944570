"""Who hears of events, and how patiently events are delivered to them."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TRIES = 8  # then an event is put among the dead letters, and the next is delivered
FIRST_PAUSE_S = 1.0
MOST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Somebody who reacts to events whose kind begins with one of ``kinds`` (to all, if none is
    named). ``handler`` is the dotted name of a participant that takes a list of ``Notice``: it runs
    in the transaction that moves the subscription on, so that its own writes happen exactly once,
    and everything else at least once. ``words`` say what does not happen while it fails.

    ``hint``: it is called at once too, in the process and right after the commit in which the
    events happened; what a crash leaves out, the delivery brings. Its handler must bear to hear of
    an event twice, and out of order."""

    name: str
    words: str
    kinds: tuple[str, ...]
    handler: str
    hint: bool = False

    def hears(self, kind: str) -> bool:
        return not self.kinds or kind.startswith(self.kinds)


def pause_s(tries: int) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4 … seconds, a minute at most."""
    return min(MOST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** max(tries - 1, 0))
