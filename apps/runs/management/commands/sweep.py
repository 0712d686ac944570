"""``manage.py sweep``: put back on its way what crashes and lost bells left behind."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from apps.runs.engine.drain import worker_name
from apps.runs.recovery import sweep
from apps.runs.services import beat
from apps.runs.services.clocks import refuse_a_wrong_clock


class Command(BaseCommand):
    help = "Sweep every few seconds until told to stop (--once: a single round)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            self.stdout.write(str(sweep()))
            return
        refuse_a_wrong_clock()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        name, rounds = worker_name(), 0
        while not stop.is_set():
            try:
                swept, rounds = sweep(), rounds + 1
                beat(name, "sweeper", "", 0, rounds)
                if swept.expired_leases or swept.overdue_runs:
                    self.stderr.write(str(swept))
            except DatabaseError as error:
                self.stderr.write(f"the database is away, trying again: {error}")
                connection.close()
            stop.wait(settings.SWEEP_SECONDS)
