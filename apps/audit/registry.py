"""The subscribers of this installation: each app names its own when it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from apps.audit.domain.subscriber import Subscriber

_subscribers: dict[str, Subscriber] = {}


def subscribe(subscriber: Subscriber) -> None:
    """Have events delivered to ``subscriber`` from now on. Raises ``ValueError`` if another one has
    its name: they would share one place in the log."""
    if _subscribers.setdefault(subscriber.name, subscriber) != subscriber:
        raise ValueError(f"there are two subscribers named {subscriber.name!r}")


def subscribers() -> tuple[Subscriber, ...]:
    """All of them, by name."""
    return tuple(_subscribers[name] for name in sorted(_subscribers))


@contextmanager
def also(*more: Subscriber) -> Iterator[None]:
    """With these subscribers too, for as long as the context lasts."""
    for one in more:
        subscribe(one)
    try:
        yield
    finally:
        for one in more:
            _subscribers.pop(one.name, None)
