"""``manage.py desk``: cases arrive, a few a minute, while their desk is open."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from rich.progress import Progress

from apps.audit.domain.actors import Actor
from apps.calls import agents
from apps.catalog.selectors import pinned
from apps.kernel.errors import TowerError
from apps.ops.selectors import batch
from apps.runs.services import beat
from apps.runs.services.workers import worker_name
from controltower.practice.cases.arriving import case_number
from controltower.practice.cases.starting import start_cases
from controltower.practice.desks import ensure_desks, take_case
from controltower.practice.world.errors import PackMissingError
from controltower.practice.world.loading import DOMAINS

FIRST_CASES = 24  # a domain, on the very first start
FIRST_PATIENCE_S = 90.0
OPEN_STATES = ("accepted", "queued", "running")


class Command(BaseCommand):
    help = "Let cases arrive at the open desks (--first: play the first start's cases, then stop)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--first", action="store_true")
        parser.add_argument("--cases", type=int, default=FIRST_CASES, help="a domain, with --first")

    def handle(self, *args: Any, **options: Any) -> None:
        domains = [d for d in DOMAINS if pinned.current_jobs(d)]
        ensure_desks(domains)
        if options["first"]:
            self._first(domains, options["cases"])
        else:
            self._keep_arriving(domains)

    def _first(self, domains: list[str], count: int) -> None:
        if batch.any_from("desk"):
            self.stdout.write("The desks have worked before: nothing to play.")
            return
        started = [
            run for domain in domains for _ in range(count) for run in self._arrive(domain, True)
        ]
        end = time.monotonic() + FIRST_PATIENCE_S
        with Progress() as progress:
            bar = progress.add_task("Playing the first cases", total=len(started))
            while time.monotonic() < end:
                left = len(batch.in_states(started, OPEN_STATES))
                progress.update(bar, completed=len(started) - left)
                if not left:
                    break
                time.sleep(0.3)

    def _keep_arriving(self, domains: list[str]) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        name, arrived = worker_name(), 0
        while not stop.wait(1.0):
            try:
                for domain in domains:
                    arrived += len(self._arrive(domain, False))
                beat(name, "desk", "", 0, arrived)
            except DatabaseError as error:
                self.stderr.write(f"the database is away, trying again: {error}")
                connection.close()

    def _arrive(self, domain: str, at_once: bool) -> list[Any]:
        index = take_case(domain, at_once=at_once)
        if index is None:
            return []
        try:
            # The first cases are played while somebody waits; a model takes its time, and may cost.
            live = "" if at_once else agents.label()
            case = case_number(domain, index, live=live)
            return start_cases([case], source="desk", actor=Actor.system("desk"))
        except (PackMissingError, TowerError) as error:
            self.stderr.write(f"{domain}: {error}")
            return []
