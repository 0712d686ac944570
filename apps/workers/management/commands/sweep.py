"""``manage.py sweep``: seal and deliver the log, and do the duties if no other process does."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from apps.audit.courier import Courier
from apps.audit.domain.duty import Duty
from apps.audit.runner import LAST_WORDS_S, Runner
from apps.audit.services import sweep
from apps.audit.services.performing import perform
from apps.kernel.errors import ConflictError
from apps.runs.services import beat
from apps.runs.services.workers import worker_name
from apps.workers.recovery import wake_decided
from apps.workers.services.clocks import refuse_a_wrong_clock


class Command(BaseCommand):
    help = "Deliver events and do the duties until told to stop (--once: each duty once)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self._once()
            return
        if not settings.POOLER:  # there the role has such limits (controltower.pooling)
            connection_created.connect(_wait_briefly)
        refuse_a_wrong_clock()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        perform(Duty("woken", "", wake_decided))
        runner = Runner(stop, worker_name())
        threads = runner.start()
        Courier(stop).start()
        self._show_life(runner, stop)
        for thread in threads:
            thread.join(LAST_WORDS_S + 1)

    def _once(self) -> None:
        try:
            self.stdout.write(str(sweep(holder=worker_name())))
        except ConflictError as error:
            raise CommandError(str(error)) from error

    def _show_life(self, runner: Runner, stop: threading.Event) -> None:
        name = worker_name()
        while not stop.is_set():
            try:
                beat(name, "sweeper", "", 0, runner.rounds)
            except DatabaseError as error:
                self.stderr.write(f"the database is away, trying again: {error}")
                connection.close()
            stop.wait(settings.SWEEP_SECONDS)


def _wait_briefly(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A duty that meets a lock, or a statement that doesn't end, fails and is tried in the next
    round, instead of keeping the others waiting."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'; SET statement_timeout = '30s'")
