"""Do duties, each apart from the others, and write down how each went.

Whatever one raises (a row that can't be read, a lock that isn't given, a panic of a library) is
that duty's trouble: it is written down and shown, and the others are done in the same round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from django.db import DatabaseError, InterfaceError, connection

from apps.kernel import trouble
from apps.kernel.statements import execute
from apps.runs.domain.duties import Done, Duty

logger = logging.getLogger(__name__)
MOST_WORDS = 500
MOST_TOLD = 20  # of what a duty set aside

_KEEP = """
    INSERT INTO runs_duty AS d (name, words, every_s, ran_at, succeeded_at, failed_at, failures,
        error, took_ms, did, set_aside, aside)
    SELECT v.name, v.words, v.every_s, now.at, CASE WHEN v.error = '' THEN now.at END,
        CASE WHEN v.error <> '' THEN now.at END, (v.error <> '')::int, v.error, v.took_ms, v.did,
        v.set_aside, v.aside
    FROM unnest(%s::text[], %s::text[], %s::float8[], %s::text[], %s::float8[], %s::bigint[],
        %s::int[], %s::text[]) AS v(name, words, every_s, error, took_ms, did, set_aside, aside),
        (SELECT clock_timestamp() AS at) AS now
    ORDER BY v.name
    ON CONFLICT (name) DO UPDATE SET words = excluded.words, every_s = excluded.every_s,
        ran_at = excluded.ran_at,
        succeeded_at = coalesce(excluded.succeeded_at, d.succeeded_at),
        failed_at = coalesce(excluded.failed_at, d.failed_at),
        failures = CASE WHEN excluded.error = '' THEN 0 ELSE d.failures + 1 END,
        error = CASE WHEN excluded.error = '' THEN d.error ELSE excluded.error END,
        took_ms = excluded.took_ms, did = excluded.did, set_aside = excluded.set_aside,
        aside = excluded.aside
"""


def perform(duty: Duty) -> Done:
    """Do one duty; never raises for what it does."""
    started = time.monotonic()
    try:
        result, error = duty.work(), ""
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as raised:  # a panic of a library in Rust is no Exception
        logger.exception("the duty “%s” failed", duty.name)
        result, error = None, trouble.words(raised)[:MOST_WORDS]
        _mend_connection(raised)
    return Done(duty, result, error, (time.monotonic() - started) * 1000)


def perform_all(duties: Iterable[Duty], *, pace_s: float) -> list[Done]:
    """Do these one after the other, and keep how they went. Raises ``DatabaseError`` only when the
    database can't be asked at all: none of them could do anything then."""
    done = []
    for duty in duties:
        done.append(perform(duty))
        if done[-1].error:
            _require_database()
    keep(done, pace_s=pace_s)
    return done


def keep(done: Sequence[Done], *, pace_s: float) -> None:
    """Write down how duties went, and what they had to set aside; ``pace_s`` is how often those are
    done that say nothing else."""
    told = [d.duty.aside.told() if d.duty.aside else [] for d in done]
    execute(
        _KEEP,
        [
            [d.duty.name for d in done],
            [d.duty.words for d in done],
            [float(d.duty.every_s or pace_s) for d in done],
            [d.error for d in done],
            [float(d.took_ms) for d in done],
            [d.count for d in done],
            [len(some) for some in told],
            ["\n".join(_line(*one) for one in some[:MOST_TOLD]) for some in told],
        ],
    )


def _line(what: str, error: BaseException) -> str:
    return f"{what}: {trouble.words(error)}"


def go_on_beside(duty: Duty, stop: threading.Event) -> threading.Thread:
    """Do a duty again and again in a thread of its own, until told to stop. It may hang: then it is
    late, which is shown, and nobody waits for it."""
    thread = threading.Thread(
        target=_go_on, args=(duty, stop), name=f"duty-{duty.name}", daemon=True
    )
    thread.start()
    return thread


def _go_on(duty: Duty, stop: threading.Event) -> None:
    while True:
        try:
            keep([perform(duty)], pace_s=duty.every_s)
        except DatabaseError:
            logger.warning("how the duty “%s” went could not be kept", duty.name)
        finally:
            connection.close()
        if stop.wait(duty.every_s):
            return


def _mend_connection(error: BaseException) -> None:
    """A connection that broke is opened anew by whoever is next; inside a transaction, which is the
    caller's then, it is left to them."""
    if isinstance(error, DatabaseError | InterfaceError) and not connection.in_atomic_block:
        connection.close()


def _require_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
