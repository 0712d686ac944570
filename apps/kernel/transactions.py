"""Who commits? The word on the ``def`` line says it.

A ``command`` opens the one durable transaction of a request or queue entry; a ``participant``
joins it and refuses to run without one. Work for the world outside waits for ``after_commit``.
A ``single_command`` is a command of somebody who keeps in memory what it read and wrote.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

P = ParamSpec("P")
R = TypeVar("R")
CONTRADICTED = frozenset({"40001", "40P01"})  # serialization failure, deadlock
TRIES = 5
TOO_BIG = "54"  # SQLSTATE class: a limit of PostgreSQL's own, such as how deep JSON may be nested
OF_THE_SCHEMA = frozenset({"3F000", "42501", "42703", "42883", "42P01"})  # not migrated, no right


def command(func: Callable[P, R]) -> Callable[P, R]:
    """Run ``func`` in one durable transaction; nesting one command in another is an error. One that
    PostgreSQL ended because it contradicted another is run again as a whole, five times at most."""
    once = single_command(func)

    @wraps(func)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        for tried in range(1, TRIES):
            try:
                return once(*args, **kwargs)
            except OperationalError as error:
                if sqlstate(error) not in CONTRADICTED:
                    raise
                time.sleep(random.random() * 0.01 * 2**tried)  # noqa: S311  # spreads load only
        return once(*args, **kwargs)

    return inner


def single_command(func: Callable[P, R]) -> Callable[P, R]:
    """Run ``func`` in one durable transaction, once: the caller repeats it, after it has forgotten
    what the one that was rolled back left in memory."""
    return transaction.atomic(durable=True)(func)


def participant(func: Callable[P, R]) -> Callable[P, R]:
    """Let ``func`` run only inside an open transaction, so that its facts can't be half-written."""

    @wraps(func)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        if not connection.in_atomic_block:
            raise RuntimeError(f"{func.__qualname__} needs an open transaction")
        return func(*args, **kwargs)

    return inner


def after_commit(func: Callable[[], object]) -> None:
    """Ring a bell once the facts are durable. A failing bell never fails the command: the sweep
    finds what a lost bell left behind."""
    transaction.on_commit(func, robust=True)


# --- whose trouble --------------------------------------------------------------------------------


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of an error; empty for one that isn't PostgreSQL's."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def is_away(error: BaseException) -> bool:
    """Whether the database is the trouble (it is away, it contradicted itself), not what it was
    asked."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return not sqlstate(error).startswith(TOO_BIG)


def is_of_a_row(error: BaseException) -> bool:
    """Whether an error may belong to one of the rows in hand. A panic of a library written in Rust
    is no ``Exception``, but is one row's trouble all the same."""
    if is_away(error):
        return False
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | asyncio.CancelledError):
        return False
    return not (isinstance(error, ProgrammingError) and sqlstate(error) in OF_THE_SCHEMA)
