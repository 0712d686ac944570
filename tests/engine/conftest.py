"""A tower made of real parts: PostgreSQL, Valkey, a tool service, RQ workers, the sweeper."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import django_rq
import httpx
import pytest
from django.conf import settings
from django.db import connection, connections

from apps.audit.domain.actors import Actor
from apps.calls.executor import ToolClient
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.reading import PackError
from apps.kernel.ids import new_id
from apps.runs.models import Run
from apps.runs.services import NewRun, start_runs
from tests.engine.shop import write_shop
from tests.practice.world.conftest import tiny_pack as tiny_pack  # a fixture of its name

ENDED = {"succeeded", "failed", "cancelled", "confirmation_unknown"}


@dataclass
class Service:
    """The tool service: the outside witness."""

    url: str
    process: subprocess.Popen[bytes]

    async def ask(self, tool: str, **arguments: Any) -> Any:
        """Call one of its ``tower_`` tools."""
        async with ToolClient() as tools:
            answer = await tools.call(
                "retail", tool, arguments, meta={}, call_id="test", timeout_s=30
            )
        assert answer.data is not None, answer
        return answer.data


@dataclass
class Tower:
    """Processes of the product around the test database."""

    service: Service
    env: dict[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def spawn(
        self, *arguments: str, program: Sequence[str] = ("manage.py",)
    ) -> subprocess.Popen[bytes]:
        """Start ``manage.py`` with these arguments, in a process group of its own; or another
        ``program`` that takes the same."""
        with (self.folder / f"{len(self.processes)}-{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=settings.BASE_DIR,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.spawn("worker", "--lane", "normal")

    def start(self, scripts: Sequence[list[dict[str, Any]]], **changes: Any) -> list[UUID]:
        """Accept one run a script, each in a world of its own."""
        contract = pinned.current_contract("retail-shop")
        kind, context = changes.pop("agent_kind", "reference"), changes.pop("context", None)
        agent = pinned.agent_of_kind("retail", kind)
        cases = [
            NewRun(
                job_slug="retail-shop",
                contract_version_id=contract.pk,
                agent_version_id=agent.pk,
                agent_kind=kind,
                agent_label="test",
                items=items,
                domain_slug="retail",
                contract_number=contract.number,
                customer="ada_byron_1",
                context=context or {"world": f"test/{new_id()}"},
                **changes,
            )
            for items in scripts
        ]
        return start_runs(cases, actor=Actor.user("test"))

    def wait(
        self,
        runs: Sequence[UUID],
        *,
        states: set[str] = ENDED,
        seconds: float = 60,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait until all runs are in one of ``states``; on time-out say where they are."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            meanwhile()
            if Run.objects.filter(id__in=runs, state__in=states).count() == len(runs):
                return
            time.sleep(0.05)
        where = list(Run.objects.filter(id__in=runs).values_list("state", "outcome"))
        logs = "\n".join(p.read_text()[-1500:] for p in self.folder.glob("*.log"))
        pytest.fail(f"runs are still {where}\n{logs}")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The retail tool service over the tiny world, with fault switches."""
    folder = tmp_path_factory.mktemp("service")
    announce = folder / "retail.json"
    command = [sys.executable, "-m", "controltower.practice.world", "--domain", "retail"]
    command += [
        "--port",
        "0",
        "--db",
        str(folder / "r.sqlite"),
        "--announce",
        str(announce),
        "--allow-faults",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env={**os.environ, "TOWER_DATA": str(tiny_pack)},
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + 30
    while not announce.exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    url = json.loads(announce.read_text())["url"]
    while time.monotonic() < end:
        try:
            httpx.get(url.replace("/mcp", "/healthz"), timeout=1)
            break
        except httpx.HTTPError:
            time.sleep(0.05)
    yield Service(url, process)
    process.terminate()
    process.wait()


@pytest.fixture
def tower(
    transactional_db: None,
    service: Service,
    tmp_path: Path,
    settings: Any,
    request: pytest.FixtureRequest,
) -> Iterator[Tower]:
    """The shop's pack applied, bells empty, and nothing running yet."""
    settings.TOOL_SERVERS = {"retail": service.url}
    unkeyed = request.node.get_closest_marker("unkeyed") is not None
    # In a thread of its own: a browser test has an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, write_shop(tmp_path, unkeyed=unkeyed)).result()
    django_rq.get_connection("normal").flushdb()
    made = Tower(service, environment(service), tmp_path)
    yield made
    made.stop()


def _apply(pack: Path) -> None:
    try:
        apply_packs([pack])
    except PackError as error:
        pytest.fail("\n".join(str(problem) for problem in error.problems))
    finally:
        connections.close_all()


def environment(service: Service) -> dict[str, str]:
    """What the tower's processes are told: the test's own database and tool service."""
    db = connection.settings_dict
    auth = f"{quote(db['USER'])}:{quote(db['PASSWORD'])}"
    url = f"postgres://{auth}@{db['HOST']}:{db['PORT']}/{db['NAME']}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "REDIS_URL": settings.REDIS_URL,
        "TOWER_TOOL_SERVERS": json.dumps({"retail": service.url}),
        "TOWER_LEASE_SECONDS": "3",
        "TOWER_SWEEP_SECONDS": "0.5",
        "TOWER_DRAIN_SECONDS": "5",
        "TOWER_LINGER_SECONDS": "2",
    }
