"""Subscribers of the tests: what they heard stands in the database or in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from django.db import connection

from apps.audit.domain.subscriber import Subscriber
from apps.audit.services import Notice

HEARD: list[tuple[str, int]] = []
REFUSED: set[str] = set()


def subscriber(name: str, how: str = "hear", kinds: tuple[str, ...] = ("flow.",)) -> Subscriber:
    return Subscriber(name, "tests go unheard", kinds, f"{__name__}.{how}")


def hear(notices: Sequence[Notice]) -> None:
    """Remember them, after refusing what is in ``REFUSED``."""
    for notice in notices:
        if notice.subject_id in REFUSED:
            raise ValueError(f"no {notice.subject_id}\x00")
    HEARD.extend((n.subject_id, n.position or 0) for n in notices)


def write(notices: Sequence[Notice]) -> None:
    """Write them into a table, in the delivery's transaction; refuse what is in ``REFUSED`` only
    after that."""
    with connection.cursor() as cursor:
        for notice in notices:
            cursor.execute("INSERT INTO tests_heard (subject) VALUES (%s)", [notice.subject_id])
            if notice.subject_id in REFUSED:
                cursor.execute("SELECT 1/0")


def refuse(notices: Sequence[Notice]) -> None:
    raise RuntimeError("I never listen")


def append_to(name: str, notices: Sequence[Notice]) -> None:
    """Append positions to a file in ``TOWER_HEARD``: a witness that no transaction takes back."""
    path = Path(os.environ["TOWER_HEARD"]) / name
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, "".join(f"{n.position}\n" for n in notices).encode())
    os.close(descriptor)


def append_1(notices: Sequence[Notice]) -> None:
    append_to("1", notices)


def append_2(notices: Sequence[Notice]) -> None:
    append_to("2", notices)


def append_3(notices: Sequence[Notice]) -> None:
    append_to("3", notices)


def append_4(notices: Sequence[Notice]) -> None:
    append_to("4", notices)
