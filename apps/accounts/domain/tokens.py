"""Tokens of service accounts: how one looks, what it may do, and who stands behind it. Pure.

``twr_svc_`` + 27 random letters and digits (160 bits) + 6 letters of a checksum, so that a scanner
of repositories finds a leaked one and a mistyped one is refused without asking the database. Only
its SHA-256 is kept: with 160 random bits there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.audit.domain.actors import Actor

START = "twr_svc_"
RANDOM_BYTES = 20
RANDOM_LENGTH = 27
CHECK_LENGTH = 6
SHOWN_LENGTH = len(START) + 6  # what of it is shown afterwards
LONGEST_DAYS = 90
MISUSED = "token.misused"  # the event that one was brought where only people go
RATES = (60, 600, 6000)  # requests a minute, of which as many may come at once
MOST_STARTS = 1_000_000  # runs an hour
MOST_USD = Decimal(1_000_000)

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(rf"{START}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECK_LENGTH}}}")


class Scope(StrEnum):
    """What a token may be used for. None lets it decide an approval, publish or change a rule."""

    RUNS_START = "runs:start"
    RUNS_READ = "runs:read"
    RUNS_CANCEL = "runs:cancel"
    RUNS_SCRIPT = "runs:script"
    RUNS_ALL = "runs:all"


SCOPE_WORDS = {
    Scope.RUNS_START: "Start runs",
    Scope.RUNS_READ: "Read its account's runs, their steps, receipts and events",
    Scope.RUNS_CANCEL: "Cancel its account's runs",
    Scope.RUNS_SCRIPT: "Say every step itself, with a script (in which no customer agrees)",
    Scope.RUNS_ALL: "Read and cancel everybody's runs, not only its account's",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The machine behind a request: its account, and what its token allows."""

    account_id: int
    name: str
    token_id: int
    scopes: frozenset[str]
    jobs: tuple[str, ...] = ()  # which it may start; empty: every one
    starts_per_hour: int | None = None
    usd_per_day: Decimal | None = None  # what models may cost its account before it starts no more

    def may(self, scope: Scope) -> bool:
        return str(scope) in self.scopes

    def may_start(self, job: str) -> bool:
        return not self.jobs or job in self.jobs

    def may_see(self, tenant: str) -> bool:
        """Whether the runs of this tenant (the account that started them) are open to it."""
        return tenant == self.name or self.may(Scope.RUNS_ALL)

    @property
    def tenant(self) -> str:
        """Whose runs it sees; empty: everybody's."""
        return "" if self.may(Scope.RUNS_ALL) else self.name

    @property
    def actor(self) -> Actor:
        """How the audit log names it."""
        return Actor.service(self.name)


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """What a token may not go beyond; empty fields bound nothing. ``starts_per_hour``: runs that it
    starts, of which as many may come at once. ``usd_per_day``: what models have cost its account's
    runs in the last 24 hours; from there on it starts none."""

    jobs: tuple[str, ...] = ()
    starts_per_hour: int | None = None
    usd_per_day: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A token that doesn't count, and why. ``retry_after`` (whole seconds) is set when it is only
    being used too often."""

    code: str
    sentence: str
    retry_after: int | None = None


def mint(random: bytes) -> str:
    """A token from ``RANDOM_BYTES`` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a token is made of {RANDOM_BYTES} random bytes")
    body = _base62(int.from_bytes(random), RANDOM_LENGTH)
    return f"{START}{body}{_check(body)}"


def is_sound(text: str) -> bool:
    """Whether ``text`` has a token's shape and its checksum is right."""
    if not _SHAPE.fullmatch(text):
        return False
    body = text[len(START) : len(START) + RANDOM_LENGTH]
    return text.endswith(_check(body))


def digest_of(token: str) -> str:
    """What is kept of a token: hex SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def shown(token: str) -> str:
    """The beginning, by which people tell tokens apart."""
    return token[:SHOWN_LENGTH]


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECK_LENGTH)


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, place = divmod(number, 62)
        letters.append(_LETTERS[place])
    return "".join(reversed(letters))
