"""``manage.py database_role``: let a role be the application's, and see what one can do."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from apps.audit.selectors.guarding import weaknesses
from apps.audit.services import guarding


class Command(BaseCommand):
    help = (
        "grant ROLE: said with the DATABASE_URL of the owner of the tables, lets ROLE do what the"
        " application does, and only add to tables of evidence. check: says, with the application's"
        " DATABASE_URL, what it could rewrite; ends with 1 if there is anything."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        let = actions.add_parser("grant")
        let.add_argument("role")
        let.add_argument("--password-file", help="make the role, with the password in this file")
        actions.add_parser("check")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "check":
            self._check()
            return
        try:
            guarding.grant(options["role"], password=_password(options["password_file"]))
        except (guarding.RoleError, DatabaseError) as error:
            raise CommandError(str(error).strip()) from error
        self.stdout.write(
            f"{options['role']} may be the application's role. Set TOWER_DATABASE_ROLE to it where"
            " you migrate, and name it in the DATABASE_URL of the processes."
        )

    def _check(self) -> None:
        if weak := weaknesses():
            raise CommandError("\n".join(weak))
        self.stdout.write("The application's role can only add to the tables of evidence.")


def _password(file: str | None) -> str:
    if not file:
        return ""
    try:
        found = Path(file).read_text().strip()
    except (OSError, ValueError) as error:
        raise CommandError(f"--password-file {file} can't be read: {error}") from error
    if len(found) < 16:
        raise CommandError(f"--password-file {file} holds fewer than 16 characters.")
    return found
