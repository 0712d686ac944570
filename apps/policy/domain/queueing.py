"""How long a held request waits for a person: Erlang C, the formula of the M/M/c queue.

Requests come at random at a rate, some people take them one after the other, and each takes a time
that varies as an exponential one does. Source: A. K. Erlang, 1917; any textbook on queues. Real
requests come in bursts and people have other work, so a real wait is rather longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf


@dataclass(frozen=True, slots=True)
class Wait:
    """``busy`` is the share of their time that people need, above 1 more than they have; ``mean_s``
    is infinite then, and everything is late. ``late`` is the share that waits longer than the
    window."""

    busy: float
    mean_s: float
    late: float


def wait(per_hour: float, people: int, minutes_each: float, window_s: float) -> Wait:
    """The wait of requests that come ``per_hour`` to so many people."""
    if per_hour <= 0:
        return Wait(0.0, 0.0, 0.0)
    if people < 1:
        return Wait(inf, inf, 1.0)
    arrivals, service = per_hour / 3600, 1 / (60 * minutes_each)
    load = arrivals / service
    if load >= people:
        return Wait(load / people, inf, 1.0)
    must = erlang_c(load, people)
    spare = people * service - arrivals
    return Wait(load / people, must / spare, must * exp(-spare * window_s))


def erlang_c(load: float, people: int) -> float:
    """The probability that whoever comes finds everybody busy; ``load`` (in Erlang) is below
    ``people``."""
    blocked = 1.0  # Erlang B, by its recurrence: factorials of many people would overflow
    for n in range(1, people + 1):
        blocked = load * blocked / (n + load * blocked)
    return people * blocked / (people - load * (1 - blocked))
