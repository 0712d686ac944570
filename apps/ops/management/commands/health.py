"""``manage.py health``: what is wrong with the machinery, and what to do about it."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.ops.selectors.troubles import readiness


class Command(BaseCommand):
    help = "Say what is wrong and what to do; ends with 1 when something keeps the tower from work."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        found = readiness()
        if options["json"]:
            told = [
                {"kind": t.kind, "sentence": t.sentence, "mend": t.mend, "detail": t.detail}
                for t in found.troubles
            ]
            self.stdout.write(json.dumps({"ready": found.is_ready, "troubles": told}))
        else:
            for trouble in found.troubles:
                self.stdout.write(str(trouble))
            self.stdout.write("Ready." if found.is_ready else "Not ready.")
        if not found.is_ready:
            sys.exit(1)
