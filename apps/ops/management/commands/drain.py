"""``manage.py drain --all``: before a deploy, have workers finish what they hold."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.domain.actors import Actor
from apps.kernel.errors import ConflictError
from apps.ops.selectors import health
from apps.runs.services import workers

BY_HAND = Actor.system("manage.py drain")


class Command(BaseCommand):
    help = "Have workers finish what they hold and take nothing new."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("names", nargs="*", default=[], help="as the system page names them")
        which.add_argument("--all", action="store_true", help="all workers")
        which.add_argument(
            "--older", action="store_true", help="those of an older engine than this release's"
        )
        parser.add_argument("--undo", action="store_true", help="let them work again")
        parser.add_argument(
            "--wait", type=float, default=0.0, metavar="SECONDS", help="until nothing is held"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        before = settings.ENGINE_VERSION if options["older"] else 0
        try:
            if options["undo"]:
                found = workers.let_work(BY_HAND, names=options["names"])
            else:
                found = workers.drain_workers(BY_HAND, names=options["names"], before_engine=before)
        except ConflictError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("\n".join(found) or "No worker matches.")
        if options["wait"] and not options["undo"]:
            self._wait(options["wait"])

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while held := health.held_by_draining():
            if time.monotonic() > end:
                raise CommandError(f"{held} draining workers still have calls to finish.")
            time.sleep(0.2)
        self.stdout.write("No calls are left.")
