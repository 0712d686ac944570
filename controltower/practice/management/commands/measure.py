"""``manage.py measure FILE.jsonl.gz…``: how well the packs' policies stop wrong changes."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from controltower.practice import measure


class Command(BaseCommand):
    help = "Ask the packs' policies about every change that recorded episodes propose, offline."

    def add_arguments(self, parser: CommandParser) -> None:
        measure.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if code := measure.run(options):
            sys.exit(code)
