"""``manage.py backup``: whether a backup would do, and what follows when one was needed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.services.standing import put_aside
from apps.kernel.errors import TowerError
from apps.oversight.services import proving, void_after_restore
from apps.workers.services.drilling import drill


class Command(BaseCommand):
    help = (
        "drill: dumps the database, restores it into one beside and looks whether log and answers"
        " hold; ends with 1 if not. answers: whether those that wait to be used are proved by their"
        " signatures. restored: after a restore, before anything is started: takes back answers"
        " that wait to be used, so that people are asked again, and begins a new file of"
        " checkpoints."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name in ("drill", "answers", "restored"):
            actions.add_parser(name)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            {"drill": self._drill, "answers": self._answers, "restored": self._restored}[action]()
        except TowerError as error:
            raise CommandError(str(error)) from error

    def _drill(self) -> None:
        done = drill()
        self.stdout.write(
            f"A backup of {done.size:,} bytes was restored with {done.rows:,} rows of evidence and"
            f" runs in {done.seconds:.0f} s, and holds."
        )
        for line in done.said:
            self.stdout.write(line)

    def _answers(self) -> None:
        waiting, forged = proving.waiting_answers()
        if forged:
            raise CommandError("; ".join(f"{one.pk}: {why}" for one, why in forged[:20]))
        self.stdout.write(f"{waiting:,} questions and answers wait; every signature on them fits.")

    def _restored(self) -> None:
        count = void_after_restore()
        aside = put_aside()
        self.stdout.write(f"{count:,} answers that were not used are taken back and asked again.")
        if aside:
            self.stdout.write(f"The checkpoints of before lie in {aside}: keep them as evidence.")
