"""Do duties, each apart from the others, and write down how each went.

Whatever one raises (a row that can't be read, a lock that isn't given, a panic of a library) is
that duty's trouble: it is written down and shown, and the others are done in the same round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils.module_loading import import_string

from apps.audit import registry
from apps.audit.domain.duty import Done, Duty, Swept, Term
from apps.audit.services import leading
from apps.kernel import trouble
from apps.kernel.errors import ConflictError
from apps.kernel.statements import execute

logger = logging.getLogger(__name__)
MOST_WORDS = 500
MOST_TOLD = 20  # of what a duty set aside

# Guarded twice by the token: by the lease, and by what a later holder wrote meanwhile.
_KEEP = """
    INSERT INTO audit_dutystanding AS d (name, words, every_s, ran_at, succeeded_at, failed_at,
        failures, error, took_ms, did, set_aside, aside, token)
    SELECT v.name, v.words, v.every_s, now.at, CASE WHEN v.error = '' THEN now.at END,
        CASE WHEN v.error <> '' THEN now.at END, (v.error <> '')::int, v.error, v.took_ms, v.did,
        v.set_aside, v.aside, l.token
    FROM unnest(%s::text[], %s::text[], %s::float8[], %s::text[], %s::float8[], %s::bigint[],
        %s::int[], %s::text[]) AS v(name, words, every_s, error, took_ms, did, set_aside, aside),
        (SELECT clock_timestamp() AS at) AS now, audit_dutylease l
    WHERE l.name = 'duties' AND l.token = %s
    ORDER BY v.name
    ON CONFLICT (name) DO UPDATE SET words = excluded.words, every_s = excluded.every_s,
        ran_at = excluded.ran_at,
        succeeded_at = coalesce(excluded.succeeded_at, d.succeeded_at),
        failed_at = coalesce(excluded.failed_at, d.failed_at),
        failures = CASE WHEN excluded.error = '' THEN 0 ELSE d.failures + 1 END,
        error = CASE WHEN excluded.error = '' THEN d.error ELSE excluded.error END,
        took_ms = excluded.took_ms, did = excluded.did, set_aside = excluded.set_aside,
        aside = excluded.aside, token = excluded.token
    WHERE d.token <= excluded.token
"""


def sweep(*, waiting: bool = True, holder: str = "by hand") -> Swept:
    """One round of all duties, here and now. Each commits by itself, and whatever one raises leaves
    the others to be done. ``waiting``: with those that wait for the network, last. Raises
    ``ConflictError`` while another process holds the duties, and ``DatabaseError`` only when the
    database can't be asked at all."""
    term = leading.take(holder)
    if term is None:
        raise ConflictError("Another process does the duties: System says which.")
    chosen = [d for d in registry.duties() if waiting or not d.waits]
    try:
        done = perform_all(sorted(chosen, key=lambda d: d.waits), term)
    finally:
        if not connection.needs_rollback:
            leading.let_go(term)
    return Swept(
        {d.duty.name: d.count or 0 for d in done},
        {d.duty.name: d.error for d in done if d.error},
    )


def perform_all(duties: Iterable[Duty], term: Term) -> list[Done]:
    """Do these one after the other, and keep how they went. Raises ``DatabaseError`` only when the
    database can't be asked at all: none of them could do anything then."""
    done = []
    for duty in duties:
        if leading.renew(term) is None:
            logger.warning("another process has taken the duties over")
            break
        done.append(perform(duty))
        if done[-1].error:
            _require_database()
    keep(done, term)
    return done


def perform(duty: Duty) -> Done:
    """Do one duty; never raises for what it does."""
    started = time.monotonic()
    try:
        result, error = _found(duty.work)(), ""
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # a library's panic or exit is no Exception
        logger.exception("the duty “%s” failed", duty.name)
        result, error = None, trouble.words(raised)[:MOST_WORDS]
        _mend_connection(raised)
    return Done(duty, result, error, (time.monotonic() - started) * 1000)


def keep(done: Sequence[Done], term: Term) -> bool:
    """Write down how duties went, and what they had to set aside. Returns whether that was kept: it
    isn't when another process has taken them over."""
    told = [_told(d.duty) for d in done]
    kept = execute(
        _KEEP,
        [
            [d.duty.name for d in done],
            [d.duty.words for d in done],
            [pace_s(d.duty) for d in done],
            [d.error for d in done],
            [float(d.took_ms) for d in done],
            [d.count for d in done],
            [len(some) for some in told],
            ["\n".join(_line(*one) for one in some[:MOST_TOLD]) for some in told],
            term.token,
        ],
    )
    return kept == len(done)


def pace_s(duty: Duty) -> float:
    """How often a duty is done: in every round, where it doesn't say."""
    return float(duty.every_s or settings.SWEEP_SECONDS)


def _found(named: Any) -> Any:
    return import_string(named) if isinstance(named, str) else named


def _told(duty: Duty) -> list[tuple[str, BaseException]]:
    try:
        return _found(duty.aside).told() if duty.aside else []
    except Exception as error:  # it is this duty's: how it and the others went is kept
        logger.exception("what the duty “%s” set aside can't be told", duty.name)
        return [("what it set aside", error)]


def _line(what: str, error: BaseException) -> str:
    return f"{what}: {trouble.words(error)}"


def _mend_connection(error: BaseException) -> None:
    """A connection that broke is opened anew by whoever is next; inside a transaction, which is the
    caller's then, it is left to them."""
    if isinstance(error, DatabaseError | InterfaceError) and not connection.in_atomic_block:
        connection.close()


def _require_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
