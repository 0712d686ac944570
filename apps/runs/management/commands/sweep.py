"""``manage.py sweep``: put back on its way what crashes and lost bells left behind."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from apps.audit.courier import Courier
from apps.runs.domain.duties import Duty
from apps.runs.recovery import DUTIES, sweep, wake_decided
from apps.runs.services import beat
from apps.runs.services.clocks import refuse_a_wrong_clock
from apps.runs.services.duties import go_on_beside, perform
from apps.runs.services.workers import worker_name


class Command(BaseCommand):
    help = "Sweep every few seconds until told to stop (--once: a single round)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(str(sweep()))
            return
        if not settings.POOLER:  # there the role has such limits (controltower.pooling)
            connection_created.connect(_wait_briefly)
        refuse_a_wrong_clock()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        for duty in DUTIES:
            if duty.waits:
                go_on_beside(duty, stop)
        Courier(stop).start()
        self._go_on(stop)

    def _go_on(self, stop: threading.Event) -> None:
        name, rounds = worker_name(), 0
        perform(Duty("woken", "", wake_decided))
        while not stop.is_set():
            try:
                swept, rounds = sweep(waiting=False), rounds + 1
                beat(name, "sweeper", "", 0, rounds)
                if swept.failed or swept.expired_leases or swept.overdue_runs:
                    self.stderr.write(str(swept))
            except DatabaseError as error:
                self.stderr.write(f"the database is away, trying again: {error}")
                connection.close()
            stop.wait(settings.SWEEP_SECONDS)


def _wait_briefly(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A duty that meets a lock, or a statement that doesn't end, fails and is tried in the next
    round, instead of keeping the others waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'; SET statement_timeout = '30s'")
