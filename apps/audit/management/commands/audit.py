"""``manage.py audit``: verify the whole log, here and now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.domain.actors import SETUP
from apps.audit.models import Verification
from apps.audit.services import verifying
from apps.kernel.errors import TowerError

PIECE_S = 2.0


class Command(BaseCommand):
    help = (
        "verify: walks the whole log and holds every checkpoint against it; ends with 1 if broken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_subparsers(dest="action", required=True).add_parser("verify")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            row = self._verify()
        except TowerError as error:
            raise CommandError(str(error)) from error
        for note in row.notes:
            self.stderr.write(f"note: {note}")
        if row.problem:
            raise CommandError(f"The log is broken at #{row.broken_at:,}: {row.problem}")
        self.stdout.write(
            f"Every event up to #{row.position:,} fits its hash, and {row.checkpoints:,}"
            " checkpoints fit the log."
        )

    def _verify(self) -> Verification:
        """The sweeper may go on with it too; whoever is first moves it on."""
        row = verifying.ask_for_all(SETUP)
        while row.ended_at is None:
            verifying.go_on(row, budget_s=PIECE_S)
            row.refresh_from_db()
            self.stderr.write(f"#{row.position:,} of #{row.target:,}")
        return row
