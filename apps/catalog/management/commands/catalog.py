"""``manage.py catalog apply DIR…``: make the catalog what the packs say."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.catalog.services import PackError, Report, apply_packs

_SIGN = {"new": "+", "changed": "~", "unchanged": " ", "kept": "!"}


class Command(BaseCommand):
    help = "Apply pack folders to the catalog: versions what changed, refuses what is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        apply = actions.add_parser("apply", help="make the catalog what the packs say")
        apply.add_argument("directories", nargs="+", metavar="DIR")
        apply.add_argument("--dry-run", action="store_true", help="show the diff, change nothing")
        apply.add_argument(
            "--force", action="store_true", help="publish over versions edited in the browser"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = apply_packs(
                options["directories"], dry_run=options["dry_run"], force=options["force"]
            )
        except PackError as error:
            lines = "\n".join(f"  {problem}" for problem in error.problems)
            raise CommandError(f"{error}\n{lines}") from error
        self._print(report)

    def _print(self, report: Report) -> None:
        for line in report.lines:
            if line.change == "unchanged" and not line.detail:
                continue
            self.stdout.write(f"{_SIGN[line.change]} {line.what} {line.name}: {line.change}")
            for detail in line.detail:
                self.stdout.write(f"    {detail}")
        for problem in report.problems:
            self.stdout.write(f"! {problem}")
        same = sum(line.change == "unchanged" for line in report.lines)
        done = len(report.lines) - same
        ending = " Nothing was written (--dry-run)." if report.dry_run else ""
        self.stdout.write(f"{done} changed or new, {same} unchanged.{ending}")
