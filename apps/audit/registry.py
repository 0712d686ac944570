"""What this installation is made of beside the log: subscribers, duties, live streams and tables of
evidence. Each app names its own when it is ready."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from apps.audit.domain import streams as live
from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.streams import Stream
from apps.audit.domain.subscriber import Subscriber

_subscribers: dict[str, Subscriber] = {}
_duties: dict[str, Duty] = {}
_streams: dict[str, Stream] = {}
_by_word: dict[str, Stream] = {}
_guards: dict[str, Guard] = {}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs checkpoints of the log: dotted names of ``sign(payload, purpose=…)``, which returns
    signature and key id, and of ``verify(payload, signature, key_id, purpose=…)``."""

    sign: str
    verify: str


_signer: dict[str, Signer] = {}


def sign_by(signer: Signer) -> None:
    """Have checkpoints signed and verified by this one from now on."""
    _signer["one"] = signer


def signer() -> Signer:
    """The one that was named. Raises ``LookupError`` if none was."""
    return _signer["one"]


@dataclass(frozen=True, slots=True)
class BundlePart:
    """What an app adds to a bundle of the log: dotted names of ``before()`` and of
    ``behind(events)``, which is told the events just written. Both give pairs of what an entry is
    and its value, as ``deploy/verify.py`` reads them."""

    before: str
    behind: str


_parts: dict[BundlePart, None] = {}


def add_bundle_parts(*some: BundlePart) -> None:
    """Have bundles of the log hold these too from now on."""
    _parts.update(dict.fromkeys(some))


def bundle_parts() -> tuple[BundlePart, ...]:
    """All of them, in the order in which they were named."""
    return tuple(_parts)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


def _add(known: dict[str, T], one: T, noun: str) -> None:
    if known.setdefault(one.name, one) != one:
        raise ValueError(f"there are two {noun} named {one.name!r}")


def subscribe(*some: Subscriber) -> None:
    """Have events delivered to these subscribers from now on. Raises ``ValueError`` if another one
    has the name of one: they would share one place in the log."""
    for one in some:
        _add(_subscribers, one, "subscribers")


def subscribers() -> tuple[Subscriber, ...]:
    """All of them, by name."""
    return tuple(_subscribers[name] for name in sorted(_subscribers))


def add_duties(*some: Duty) -> None:
    """Have these duties done from now on, in this order, by whichever process holds the duties.
    Raises ``ValueError`` if another one has the name of one: they would share one standing."""
    for one in some:
        _add(_duties, one, "duties")


def duties() -> tuple[Duty, ...]:
    """All of them, in the order in which they were named."""
    return tuple(_duties.values())


def add_streams(*some: Stream) -> None:
    """Let pages listen to these from now on. Raises ``ValueError`` if another one has the name of
    one, or one of its kinds."""
    for one in some:
        _add(_streams, one, "streams")
        for word in (*one.kinds, *one.quiet):
            if _by_word.setdefault(word, one) != one:
                raise ValueError(f"there are two streams of {word!r}")


def stream(name: str) -> Stream | None:
    """The stream or family of this name, if there is one."""
    return _streams.get(name)


def streams() -> tuple[Stream, ...]:
    """All of them, by name."""
    return tuple(_streams[name] for name in sorted(_streams))


def streams_of(kind: str, run_id: str | None) -> tuple[str, ...]:
    """The names of the streams that an event belongs to."""
    return live.streams_of(kind, run_id, _by_word)


def add_guards(*some: Guard) -> None:
    """Hold these tables to be evidence: the application's role may only add to them, and triggers
    (made by the app's migrations) refuse the rest to everybody else."""
    _guards.update((one.table, one) for one in some)


def guards() -> tuple[Guard, ...]:
    """All of them, by table."""
    return tuple(_guards[table] for table in sorted(_guards))


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
