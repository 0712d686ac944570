"""``manage.py catalog``: apply packs, show what that would change, export them, check them."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.catalog.services import (
    Around,
    ExportError,
    PackError,
    Report,
    apply_packs,
    described,
    examine,
    export_packs,
    write_files,
)
from apps.kernel.documents import Problem
from apps.kernel.errors import TowerError

_SIGN = {"new": "+", "changed": "~", "unchanged": " ", "kept": "!"}
FORMAT = 1  # of what --json prints


class Command(BaseCommand):
    help = "Pack folders and the catalog: apply, diff, export, check."
    requires_system_checks: list[str] = []  # ``check`` needs no tower

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        apply = actions.add_parser("apply", help="make the catalog what the packs say")
        apply.add_argument("--dry-run", action="store_true", help="show the diff, change nothing")
        diff = actions.add_parser("diff", help="what apply would change; nothing is changed")
        for action in (apply, diff):
            action.add_argument("directories", nargs="+", metavar="DIR")
            action.add_argument("--json", action="store_true", help="print the report as JSON")
            action.add_argument(
                "--force", action="store_true", help="publish over versions edited in the browser"
            )
        export = actions.add_parser("export", help="write what is published as pack folders")
        export.add_argument("directory", metavar="DIR")
        export.add_argument("--domain", default="", help="only this one")
        export.add_argument("--replace", action="store_true", help="write over files of this name")
        check = actions.add_parser(
            "check", help="what is wrong with packs, without a tower; ends with 1 if anything is"
        )
        check.add_argument("directories", nargs="+", metavar="DIR")
        check.add_argument("--json", action="store_true", help="print the problems as JSON")
        check.add_argument("--ask", action="store_true", help="ask the tool servers as well")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _diff(self, options: dict[str, Any]) -> None:
        self._apply({**options, "dry_run": True})

    def _apply(self, options: dict[str, Any]) -> None:
        try:
            report = apply_packs(
                options["directories"], dry_run=options["dry_run"], force=options["force"]
            )
        except PackError as error:
            raise CommandError(self._refused(error, as_json=options["json"])) from error
        except TowerError as error:  # such as somebody who published meanwhile
            if options["json"]:
                self._dump_report(Report(dry_run=True, problems=[Problem(str(error))]))
            raise CommandError(str(error)) from error
        if options["json"]:
            self._dump_report(report)
        else:
            self._print(report)

    def _dump_report(self, report: Report) -> None:
        self._dump(
            {
                "format": FORMAT,
                "has_changes": report.has_changes,
                "is_applied": not report.dry_run,
                "lines": [asdict(line) for line in report.lines],
                "problems": described(report.problems),
            }
        )

    def _refused(self, error: PackError | ExportError, *, as_json: bool = False) -> str:
        if as_json:
            self._dump_report(Report(dry_run=True, problems=error.problems))
            return str(error)
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        return f"{error}\n{lines}"

    def _dump(self, value: dict[str, Any]) -> None:
        self._tell(json.dumps(value, ensure_ascii=False, indent=2))

    def _tell(self, text: str) -> None:
        """A folder's name may hold bytes that are no text: they are told by their escapes."""
        self.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))

    def _export(self, options: dict[str, Any]) -> None:
        try:
            files = export_packs(options["domain"])
            write_files(Path(options["directory"]), files, replace=options["replace"])
        except ExportError as error:
            raise CommandError(self._refused(error)) from error
        except (TowerError, OSError) as error:
            raise CommandError(str(error)) from error
        packs = sum(name.endswith("/pack.yaml") for name in files)
        self.stdout.write(f"{len(files)} files of {packs} packs written.")

    def _check(self, options: dict[str, Any]) -> None:
        folders = [Path(d) for d in options["directories"]]
        _, problems = examine(folders, Around(asks=options["ask"]))
        errors = sum(p.is_error for p in problems)
        warnings = len(problems) - errors
        if options["json"]:
            counts = {"errors": errors, "warnings": warnings}
            self._dump({"format": FORMAT, **counts, "problems": described(problems)})
        else:
            for problem in problems:
                sign = "FAIL" if problem.is_error else "!   "
                self._tell(f"{sign} {problem}")
            self.stdout.write(f"{errors} errors, {warnings} warnings.")
        if errors:
            raise SystemExit(1)

    def _print(self, report: Report) -> None:
        for line in report.lines:
            if line.change == "unchanged" and not line.detail:
                continue
            self.stdout.write(f"{_SIGN[line.change]} {line.what} {line.name}: {line.change}")
            for detail in line.detail:
                self.stdout.write(f"    {detail}")
        for problem in report.problems:
            self._tell(f"! {problem}")
        same = sum(line.change == "unchanged" for line in report.lines)
        done = len(report.lines) - same
        ending = " Nothing was written (--dry-run)." if report.dry_run else ""
        self.stdout.write(f"{done} changed or new, {same} unchanged.{ending}")
