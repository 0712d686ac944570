"""Hidden values between the database, where they lie sealed, and who works with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken

from apps.kernel import exactjson
from apps.kernel.statements import execute, fetch
from apps.kernel.transactions import after_commit, command, participant
from apps.redaction import adapters
from apps.redaction.domain.hidden import Hidden
from apps.redaction.domain.names import names_of
from apps.redaction.models import HiddenValue

OTHER = "The sealed value of {token} can't be opened: its key is not in {file}, or it was changed."
EACH = 1000  # values that one transaction seals anew


def opened(
    wanted: Mapping[UUID, Iterable[str]], roots: Mapping[UUID, UUID] | None = None
) -> dict[UUID, Hidden]:
    """What each of these runs hides, with the values that are known to it: those of its root, where
    it is a branch (``roots``). Those without names and without values are left out. One query.
    Raises ``RedactionKeyError``."""
    if not wanted:
        return {}
    owners = {run_id: (roots or {}).get(run_id, run_id) for run_id in wanted}
    known: dict[UUID, dict[str, str]] = {}
    for root_id, token, sealed in fetch(
        "SELECT root_id, token, sealed FROM redaction_hiddenvalue WHERE root_id = ANY(%s)"
        " ORDER BY id",
        [list(set(owners.values()))],
    ):
        known.setdefault(root_id, {})[token] = sealed
    stated = {run_id: tuple(names) for run_id, names in wanted.items()}
    needed = {i: names for i, names in stated.items() if names or owners[i] in known}
    if not needed:
        return {}
    keys = _keys()
    return {
        run_id: Hidden(
            (root_id := owners[run_id]),
            names_of(names),
            keys.join,
            {t: unsealed(root_id, t, s, keys) for t, s in known.get(root_id, {}).items()},
        )
        for run_id, names in needed.items()
    }


@participant
def keep(some: Iterable[Hidden | None]) -> None:
    """Keep what was learnt, in the transaction that writes the tokens. Once it has committed it is
    not written again; one that is rolled back leaves it to the next."""
    # What is learnt meanwhile is the next transaction's: only what is written here is kept.
    found = [(hidden, dict(hidden.fresh)) for hidden in some if hidden is not None and hidden.fresh]
    if not found:
        return
    keys = _keys()
    rows = [
        (hidden.owner, token, _sealed(hidden.owner, token, value, keys))
        for hidden, fresh in found
        for token, value in fresh.items()
    ]
    # Two branches of a run may learn the same value at once: the unique constraint keeps one row.
    execute(
        "INSERT INTO redaction_hiddenvalue (root_id, token, sealed, created_at)"
        " SELECT v.root_id, v.token, v.sealed, clock_timestamp()"
        " FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS v(root_id, token, sealed)"
        " ON CONFLICT DO NOTHING",
        [list(column) for column in zip(*rows, strict=True)],
    )
    for hidden, fresh in found:
        after_commit(partial(hidden.kept, fresh))


def unsealed(root_id: UUID, token: str, sealed: str, keys: adapters.Keys | None = None) -> Any:
    """The value behind a token. Raises ``RedactionKeyError``, also where the row is of another."""
    try:
        owner, name, value = exactjson.loads((keys or _keys()).ring.decrypt(sealed))
    except (InvalidToken, ValueError):
        owner = name = value = None
    if owner != str(root_id) or name != token:
        raise adapters.RedactionKeyError(OTHER.format(token=token, file="the file of keys"))
    return value


def reseal() -> tuple[int, int]:
    """Seal every value with the key that seals now; returns how many, and how many no key of the
    file opens, which stay as they are. Each thousand is a transaction of its own."""
    last = done = left = 0
    while some := _reseal_some(last):
        last, done, left = some[0], done + some[1], left + some[2]
    return done, left


@command
def _reseal_some(last: int) -> tuple[int, int, int] | None:
    """The last row that was looked at, how many were sealed anew, and how many were not."""
    ring, done = _keys().ring, 0
    rows = HiddenValue.objects.filter(pk__gt=last).order_by("pk").select_for_update()
    found = list(rows[:EACH])
    for row in found:
        with suppress(InvalidToken):
            row.sealed = ring.rotate(row.sealed.encode()).decode()
            row.save(update_fields=["sealed"])
            done += 1
    return (found[-1].pk, done, len(found) - done) if found else None


def _sealed(root_id: UUID, token: str, value: Any, keys: adapters.Keys) -> str:
    said = exactjson.dumps([str(root_id), token, value])
    return keys.ring.encrypt(said.encode()).decode()


def _keys() -> adapters.Keys:
    try:
        return adapters.keys(may_make=False)
    except adapters.RedactionKeyError:
        if HiddenValue.objects.exists():
            raise
        return adapters.keys(may_make=True)
