"""``manage.py replay FILE.jsonl.gz…``: the scorecard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from apps.kernel.errors import TowerError
from controltower.practice.replay.crew import Crew
from controltower.practice.replay.mapping import mappings
from controltower.practice.replay.reading import left_out, read
from controltower.practice.replay.report import curves, show, witness
from controltower.practice.replay.running import Replay
from controltower.practice.replay.scoring import score

REVIEWERS = ("none", "approve", "reject", "oracle")


class Command(BaseCommand):
    help = (
        "Start one run per recorded episode through the real engine, policies, approvals and tool"
        " services, and score afterwards what the tower did against the labels. Lines that can't be"
        " used are left out and named; the others are run, and the exit code is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--limit", type=int, help="at most this many episodes")
        parser.add_argument("--rate", type=float, help="runs started a second (default: no limit)")
        parser.add_argument("--reviewer", choices=REVIEWERS, default="none")
        parser.add_argument("--json", type=Path, metavar="OUT", help="write the scorecard here")
        parser.add_argument(
            "--patience", type=float, default=120.0, help="seconds without progress"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        known = mappings()
        if not known.domains:
            raise CommandError("The catalog has no domain with a job: apply a pack first.")
        found, bad = read(options["files"], domains=known.names, limit=options["limit"])
        episodes = [known.translated(episode) for episode in found]
        if not episodes:
            raise CommandError("There is no episode to replay.\n" + left_out(bad))
        replay = Replay(
            episodes, reviewer=options["reviewer"], rate=options["rate"], mappings=known
        )
        try:
            with Crew({e["domain"] for e in episodes}, stderr=self.stderr):
                self._play(replay, options["patience"])
                card = self._card(replay)
                replay.tidy()
        except TowerError as error:
            raise CommandError(str(error)) from error
        bad += replay.refused
        card |= {"left_out": len(bad)}
        show(card, self.stdout)
        if options["json"]:
            options["json"].write_text(json.dumps(card, indent=2) + "\n")
        if bad:
            raise CommandError(left_out(bad))

    def _play(self, replay: Replay, patience_s: float) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn()) as progress:
            begun = progress.add_task("Runs started", total=len(replay.episodes))
            done = progress.add_task("Runs settled", total=len(replay.episodes))

            def tell(started: int, settled: int) -> None:
                progress.update(begun, completed=started)
                progress.update(done, completed=settled)

            replay.play(progress=tell, patience_s=patience_s)

    def _card(self, replay: Replay) -> dict[str, Any]:
        played = replay.gather()
        card = score(
            played,
            seconds=replay.seconds,
            steps=replay.steps(),
            ledger=witness(replay, replay.ledgers()),
        )
        return card | {
            "reviewer": replay.reviewer,
            "jobs": replay.jobs(),
            "curve": curves(replay, played),
        }
