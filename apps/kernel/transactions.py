"""Who commits? The word on the ``def`` line says it.

A ``command`` opens the one durable transaction of a request or queue entry; a ``participant``
joins it and refuses to run without one. Work for the world outside waits for ``after_commit``.
A ``single_command`` is a command of somebody who keeps in memory what it read and wrote.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")
CONTRADICTED = frozenset({"40001", "40P01"})  # serialization failure, deadlock
TRIES = 5


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
                if getattr(error.__cause__, "sqlstate", "") not in CONTRADICTED:
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
