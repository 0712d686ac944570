"""The keys that seal hidden values: replace the one that seals."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit.domain.actors import SETUP
from apps.audit.services import Fact, record_many
from apps.kernel.transactions import command
from apps.redaction import adapters, services


class Command(BaseCommand):
    help = (
        "rotate: a new key seals hidden values from now on, and those that are kept are resealed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_subparsers(dest="action", required=True).add_parser("rotate")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            adapters.rotate()
            count, left = services.reseal()
        except adapters.RedactionKeyError as error:
            raise CommandError(str(error)) from error
        _record(count, left)
        self.stdout.write(f"A new key seals from now on; {count:,} values were sealed with it.")
        if left:
            raise CommandError(f"{left:,} values are opened by no key of the file, and stay so.")


@command
def _record(count: int, left: int) -> None:
    payload = {"values": count, "unopened": left}
    record_many([Fact("redaction_key.rotated", SETUP, "redaction_key", "-", None, payload)])
