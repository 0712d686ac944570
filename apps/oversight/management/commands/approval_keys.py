"""The keys that sign approvals: list, replace, revoke."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.audit import services as audit
from apps.audit.domain.actors import SETUP
from apps.kernel.transactions import command
from apps.oversight import adapters


class Command(BaseCommand):
    help = (
        "Lists the keys that sign approvals. rotate: a new key signs from now on, and what the old"
        " one signed stays valid. revoke KEY: nothing that this key signed is carried out any more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list")
        actions.add_parser("rotate")
        actions.add_parser("revoke").add_argument("key", help="its id, as list shows it")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            self._do(action, options.get("key", ""))
        except (LookupError, ValueError, adapters.KeyFileError) as error:
            raise CommandError(str(error.args[0])) from error

    def _do(self, action: str, key_id: str) -> None:
        if action == "rotate":
            key_id = adapters.rotate()
            _record("rotated", key_id)
            self.stdout.write(f"Key {key_id} signs from now on.")
        elif action == "revoke":
            adapters.revoke(key_id)
            _record("revoked", key_id)
            self.stdout.write(f"Nothing that key {key_id} signed counts any more.")
        else:
            for key in adapters.ring().values():
                ended = f", revoked {key.revoked}" if key.revoked else ""
                self.stdout.write(f"{key.key_id}  since {key.added}{ended}")


@command
def _record(what: str, key_id: str) -> None:
    audit.record_many(
        [
            audit.Fact(
                kind=f"approval_key.{what}",
                actor=SETUP,
                subject_type="approval_key",
                subject_id=key_id,
                payload={},
            )
        ]
    )
