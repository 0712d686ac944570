"""``manage.py audit``: verify the whole log here and now, or take away what proves it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from apps.audit.domain.actors import SETUP
from apps.audit.models import Verification
from apps.audit.services import bundling, reading, verifying
from apps.kernel.errors import TowerError

PIECE_S = 2.0
ENDS_SHORT = 3


class Command(BaseCommand):
    help = (
        "verify: walks the whole log and holds every checkpoint against it; ends with 1 if broken."
        " bundle FILE: writes events, checkpoints, answers, keys for deploy/verify.py; ends with 3"
        " where the log goes on behind it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("verify")
        bundle = actions.add_parser("bundle")
        bundle.add_argument("file", type=Path)
        bundle.add_argument("--after", type=int, default=0, help="the event before the first")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            if action == "bundle":
                self._bundle(options["file"], max(0, options["after"]))
            else:
                self._verify_all()
        except (TowerError, OSError) as error:
            raise CommandError(str(error)) from error

    def _bundle(self, path: Path, after: int) -> None:
        reading.taken(SETUP, "audit_log", "bundle", what={"after": after})
        part = path.with_name(f"{path.name}.part")  # what was cut off never has the name
        line = b""
        with part.open("wb") as file:
            for line in bundling.Bundle(after, SETUP).lines():
                file.write(line)
        part.replace(path)
        if short := orjson.loads(line)["end"]["short"]:
            raise CommandError(f"{path} ends short: {short}.", returncode=ENDS_SHORT)
        self.stdout.write(f"{path} holds the log after #{after:,} up to its end.")

    def _verify_all(self) -> None:
        row = self._verify()
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
