"""Who does the work of a replay: the tower that runs already, else workers started for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_rq
from django.conf import settings
from rq import Worker

from apps.catalog import adapters
from apps.kernel.errors import TowerError, UnavailableError
from controltower.launch import files, programs
from controltower.practice.world.loading import DOMAINS

WORKERS = 2
START_S = 30.0


class Crew:
    """Makes sure that workers, a sweeper and the tool services of some domains are there; stops
    what it started. Only the packs' own tool services can be started here."""

    def __init__(self, domains: Collection[str], *, stderr: Any) -> None:
        self.domains, self.stderr = domains, stderr
        self._children: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="tower-replay-")

    def __enter__(self) -> Crew:
        try:
            self._tool_services()
            self._workers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _tool_services(self) -> None:
        missing = [domain for domain in DOMAINS if domain in self.domains and not _answers(domain)]
        announced = {domain: Path(self._folder.name) / f"{domain}.json" for domain in missing}
        secret = Path(self._folder.name) / "tools.key"
        files.secret(secret)
        for domain, announce in announced.items():
            database = announce.with_suffix(".sqlite")
            self._spawn("-m", "controltower.practice.world", "--domain", domain, "--port", "0",
                        "--db", str(database), "--announce", str(announce),
                        "--token-file", str(secret), env=programs.bare(os.environ))  # fmt: skip
        for domain, announce in announced.items():
            url = self._announced(announce)
            settings.TOOL_SERVERS[domain] = {"url": url, "token_file": str(secret)}

    def _announced(self, announce: Path) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if announce.exists() and (text := announce.read_text().strip()):
                return str(json.loads(text)["url"])
            if any(child.poll() is not None for child in self._children):
                break
            time.sleep(0.05)
        raise UnavailableError(
            f"The tool service “{announce.stem}” did not start: is its pack on this machine?"
            " (python -m controltower.practice.world.loading downloads it)",
            code="tool_service_down",
        )

    def _workers(self) -> None:
        if Worker.count(queue=django_rq.get_queue("normal")):
            return
        self.stderr.write("No worker is running: starting some for this replay.")
        for lane in [*settings.LANES, *["normal"] * (WORKERS - 1)]:
            self._spawn("manage.py", "worker", "--lane", lane)
        self._spawn("manage.py", "sweep")

    def _spawn(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        if env is None:
            env = {**os.environ, "TOWER_TOOL_SERVERS": json.dumps(settings.TOOL_SERVERS)}
        log = (Path(self._folder.name) / f"{len(self._children)}.log").open("wb")
        self._children.append(
            subprocess.Popen(  # noqa: S603  # our own interpreter and modules
                [sys.executable, *arguments],
                cwd=settings.BASE_DIR,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )

    def _stop(self) -> None:
        for child in reversed(self._children):
            child.terminate()
        for child in self._children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._folder.cleanup()


def _answers(domain: str) -> bool:
    try:
        url = urlsplit(adapters.look_up(domain).url)
        with socket.create_connection((url.hostname or "", url.port or 80), timeout=2):
            return True
    except (TowerError, OSError):
        return False
