"""Who did something: the one type that every event and every command names an actor by.

An actor has one text form, ``kind:name``. Events of earlier releases hold two more, a bare name
and a bare word of the tower itself; they are sealed and can't be rewritten. ``Actor.parse`` reads
all of them, ``stored_forms`` says under which of them one actor may be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

MOST_CHARACTERS = 120  # of a name: with its kind, what the log's column holds
_BARE_WORKER = re.compile(r"[^:\s]+:\d+:\d+")  # as leases are named: host, process, birth
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what PostgreSQL has no text for
_BARE_SYSTEM = frozenset(
    {
        *("desk", "engine", "gate", "manage.py drain", "pack", "replay"),
        *("setup", "sweeper", "tower", "watch"),
    }
)  # what earlier releases stored of the tower's own parts


class ActorKind(StrEnum):
    USER = "user"  # a person, by user name
    SERVICE = "service"  # a company's system, by the name of its service account
    SYSTEM = "system"  # a part of the tower, such as the sweeper
    WORKER = "worker"  # a process that carries steps out, by the name of its leases
    AGENT = "agent"  # who proposes steps, by the slug of its catalog entry


_KINDS = {kind.value: kind for kind in ActorKind}


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor. Any name is taken: what no column could hold of it is replaced, and a name that
    is too long is cut and told apart by a digest, so that two names never become one."""

    kind: ActorKind
    name: str

    def __post_init__(self) -> None:
        name = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", self.name)
        if len(name) > MOST_CHARACTERS:
            mark = sha256(name.encode()).hexdigest()[:8]
            name = f"{name[: MOST_CHARACTERS - 9]}~{mark}"
        object.__setattr__(self, "name", name)

    @classmethod
    def user(cls, name: str) -> Actor:
        """A person, by user name."""
        return cls(ActorKind.USER, name)

    @classmethod
    def service(cls, name: str) -> Actor:
        """A service account, by its name."""
        return cls(ActorKind.SERVICE, name)

    @classmethod
    def system(cls, name: str) -> Actor:
        """A part of the tower."""
        return cls(ActorKind.SYSTEM, name)

    @classmethod
    def worker(cls, name: str) -> Actor:
        """A process that holds leases under ``name``."""
        return cls(ActorKind.WORKER, name)

    @classmethod
    def agent(cls, slug: str) -> Actor:
        """Who proposes steps, by the slug of its catalog entry."""
        return cls(ActorKind.AGENT, slug)

    @classmethod
    def parse(cls, text: str) -> Actor:
        """The actor that a stored or typed text means. Never fails: what has no kind is a part of
        the tower or a worker if it has the name of one, and a person otherwise."""
        kind, colon, name = text.partition(":")
        if colon and kind in _KINDS:
            return cls(_KINDS[kind], name)
        if text in _BARE_SYSTEM:
            return cls.system(text)
        if _BARE_WORKER.fullmatch(text):
            return cls.worker(text)
        return cls.user(text)

    @property
    def text(self) -> str:
        """The one form in which it is stored; ``parse`` reads it back."""
        return f"{self.kind.value}:{self.name}"

    @property
    def shown(self) -> str:
        """The one name by which pages show it: the bare name where that can't mean another actor.
        ``parse`` reads it back, so that it can be typed into a filter."""
        return self.name if Actor.parse(self.name) == self else self.text

    def stored_forms(self) -> tuple[str, ...]:
        """Every text under which rows of any release may hold it: its own, and the bare name
        unless that means another actor."""
        return (self.text,) if self.shown == self.text else (self.text, self.name)

    def __str__(self) -> str:
        return self.shown


# The tower's own parts.
CATALOG = Actor.system("catalog")  # a pack that is applied
DOOR = Actor.system("log-in")  # whoever stands before it is nobody yet
ENGINE = Actor.system("engine")  # what the engine does by itself, whichever worker runs it
GATE = Actor.system("gate")  # asks people, and takes their answers
PACK = Actor.system("pack")
PROVIDER = Actor.system("identity-provider")  # what it says of people when they log in there
SETUP = Actor.system("setup")  # the first start
SWEEPER = Actor.system("sweeper")  # the duties
TOWER = Actor.system("tower")  # what follows from another event
WATCH = Actor.system("watch")  # looks at tool servers
