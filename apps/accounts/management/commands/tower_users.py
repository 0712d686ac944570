"""Make the first log-ins of a new tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.accounts.services import create_first_logins


class Command(BaseCommand):
    help = "Create one log-in per role with a random password; existing accounts stay untouched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--passwords-file", type=Path, required=True, help="written with 0600")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            self.stdout.write("Production shows no password: use manage.py people invite NAME.")
            return
        created = create_first_logins(options["passwords_file"])
        if created:
            self.stdout.write(f"Created {', '.join(created)}: see {options['passwords_file']}")
        else:
            self.stdout.write("All first log-ins exist already; nothing changed.")
