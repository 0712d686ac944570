"""Who came through the door and who was refused, with the address that they came from; and how long
somebody waits who tries one account's password again and again.

Tries are counted by account, known or not, before the password is looked at: whoever sends many at
once, or from many addresses, or says something else in a header, has no more of them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

from apps.accounts.domain.limits import (
    FIRST_WAIT_S,
    FORGOTTEN_AFTER_S,
    FREE_TRIES,
    LONGEST_WAIT_S,
    wait_after,
)
from apps.accounts.models import LogInGuard, OpenSession, User
from apps.accounts.services.rows import record
from apps.audit.domain.actors import DOOR, Actor
from apps.kernel.errors import ConflictError
from apps.kernel.statements import execute, fetch
from apps.kernel.transactions import command, participant

# One statement counts the try and locks: of many at once each is counted, and those beyond the
# last free one find the row locked. It touches no row that is locked, so that waiting is not made
# longer by trying. ``wait_after`` says the same in Python.
_SPEND = """
INSERT INTO accounts_loginguard AS g (name, failures, last_at, locked_until)
VALUES (%(name)s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (name) DO UPDATE SET
    failures = CASE WHEN g.last_at < clock_timestamp() - make_interval(secs => %(forgotten)s)
               THEN 1 ELSE g.failures + 1 END,
    last_at = clock_timestamp(),
    locked_until = clock_timestamp() + make_interval(secs => CASE
        WHEN g.last_at < clock_timestamp() - make_interval(secs => %(forgotten)s) THEN 0
        WHEN g.failures + 1 < %(free)s THEN 0
        ELSE LEAST(%(longest)s, %(first)s * power(2, LEAST(g.failures + 1 - %(free)s, 10))) END)
WHERE g.locked_until <= clock_timestamp()
RETURNING failures
"""
_WAIT = """
SELECT ceil(EXTRACT(EPOCH FROM locked_until - clock_timestamp()))::int
FROM accounts_loginguard WHERE name = %s
"""
_FORGET = "DELETE FROM accounts_loginguard WHERE last_at < clock_timestamp() - interval '2 days'"


def spend(name: str) -> tuple[int, int]:
    """Count a try for the account of this name: how many there were, and 0; or 0, and for how many
    seconds the account takes no password."""
    key = _key(name)
    bounds = {"forgotten": FORGOTTEN_AFTER_S, "free": FREE_TRIES, "first": FIRST_WAIT_S}
    found = fetch(_SPEND, {"name": key, "longest": LONGEST_WAIT_S, **bounds})
    if found:
        tries = int(found[0][0])
        if tries == 1:
            execute(_FORGET, [])
        return tries, 0
    waits = fetch(_WAIT, [key])
    return 0, max(1, int(waits[0][0])) if waits else 1


def second_step_of(user: User) -> str:
    """What tries of a person's second step are counted under: no name, since forms take no NUL, so
    that only whoever gave the password can use them up."""
    return f"\x00second factor of {user.pk}"


def forget(name: str) -> None:
    """The account was logged in to: its tries begin anew."""
    LogInGuard.objects.filter(name=_key(name)).delete()


@command
def refused(*, user: User | None, name: str, tries: int, address: str, how: str) -> None:
    """Somebody didn't get in. It is told of each account whose tries were counted, however its name
    was typed. Of names that nobody has the log says nothing: people type passwords into the wrong
    field."""
    for known in [user] if user else User.objects.filter(username__iexact=name):
        record("user.login_refused", DOOR, known, how=how, address=address)
        if wait_after(tries):
            record("user.locked_out", DOOR, known, tries=tries, seconds=wait_after(tries))


@command
def half_way(*, user: User, address: str) -> None:
    """Somebody gave the right password and was asked for the second factor: where no log-in
    follows, it may be somebody else who knows the password."""
    record("user.second_step_asked", DOOR, user, address=address)


@command
def entered(*, user: User, key: str, how: str, address: str, agent: str) -> None:
    """Somebody got in: their session is listed as theirs. Raises ConflictError for who came without
    a second factor to an account that has one by now."""
    # Locked, as by whoever adds a factor: they end this session, or it is refused here.
    held = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
    if not user.has_second_factor and held.has_second_factor:
        raise ConflictError("A second factor was added to this account meanwhile. Log in again.")
    OpenSession.objects.update_or_create(
        key=key, defaults={"user": user, "how": how, "address": address, "agent": agent[:200]}
    )
    happened("user.logged_in", user, how=how, address=address)


@participant
def happened(kind: str, user: User, *, by: Actor | None = None, **payload: Any) -> None:
    """One event about how a person logs in."""
    record(kind, by or user.actor, user, **payload)


def _key(name: str) -> str:
    read = unicodedata.normalize("NFKC", name).strip().casefold()
    return hashlib.sha256(read.encode("utf-8", "replace")).hexdigest()
