"""A tower of real parts that may be broken: PostgreSQL and Valkey of its own, a tool service with
fault switches, fault proxies before all three, and the product's processes.

Nothing else uses these servers, so they can be killed, stopped, filled and restarted. The product's
processes reach them through the proxies; the test reads the database directly.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import httpx
import psutil
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from apps.audit import fanout
from apps.audit.domain.actors import Actor
from apps.calls.executor import ToolClient
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.reading import PackError
from apps.kernel.ids import new_id
from apps.runs.models import Run, Step
from apps.runs.services import NewRun, start_runs
from controltower.launch import files, ports
from controltower.launch.postgres import DISPOSABLE, EmbeddedPostgres
from controltower.launch.processes import spawn
from controltower.launch.valkey import EmbeddedValkey
from tests.faults import ledgers, shop
from tests.faults.proxy import Proxy

LEASE_S, SWEEP_S = 2.0, 0.3
ENDED = frozenset({"succeeded", "failed", "cancelled", "confirmation_unknown", "shed"})
FIRST_ID = 1_000_000  # so that nothing cached about another database's rows is taken for ours
HERE = "127.0.0.1"


class NotInTimeError(AssertionError):
    """Something that should have happened by now did not."""


@dataclass
class Child:
    """A process of the product, forked by the zygote or started by itself."""

    name: str
    pid: int
    log: Path
    process: subprocess.Popen[bytes] | None = None  # of one that is a child of ours

    @property
    def is_alive(self) -> bool:
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def said(self, words: str) -> bool:
        """Whether it wrote these words."""
        return self.log.exists() and words in self.log.read_text(errors="replace")

    @property
    def lost_its_horse(self) -> bool:
        """Whether a work-horse of this worker died of a signal."""
        return self.said("terminated unexpectedly")

    def children(self) -> list[psutil.Process]:
        """What it has forked: a worker's work-horse."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def signal(self, number: int, *, group: bool = False) -> None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)


@dataclass
class Plant:
    """``Plant(folder).start()``; see the module."""

    folder: Path
    lease_s: float = LEASE_S
    sweep_s: float = SWEEP_S
    durable: bool = False
    children: list[Child] = field(default_factory=list)
    born: int = 0  # processes so far
    accepted: list[UUID] = field(default_factory=list)  # what clients were told was accepted

    def __post_init__(self) -> None:
        self.postgres = EmbeddedPostgres(
            files.private_dir(self.folder / "pg"),
            run_dir=self.folder / "s",
            password=secrets.token_urlsafe(24),
            owner_password=secrets.token_urlsafe(24),
            log=self.folder / "postgres.log",
            settings={} if self.durable else DISPOSABLE,
            max_connections=200,
        )
        self.valkey = EmbeddedValkey(
            self.folder / "valkey",
            password=secrets.token_urlsafe(24),
            log=self.folder / "valkey.log",
        )
        self.service: subprocess.Popen[bytes] | None = None
        self.zygote: subprocess.Popen[str] | None = None
        self._world = self.folder / "service" / "retail.json"
        self.service_port = ports.any_free()
        self.pg_proxy = Proxy(self.postgres.port)
        self.redis_proxy = Proxy(self.valkey.port)
        self.tool_proxy = Proxy(self.service_port, record_calls=True)

    # --- life -------------------------------------------------------------------------------------

    def start(self, world: Path) -> Plant:
        """Bring everything up. ``world``: the data of the tool service."""
        (self.folder / "var" / "static").mkdir(parents=True, exist_ok=True)
        for proxy in (self.pg_proxy, self.redis_proxy, self.tool_proxy):
            proxy.start()
        self.valkey.start()
        self.postgres.start()
        self.data = world
        self.start_service()
        return self

    def prepare(self) -> None:
        """Tables and the shop; call it inside ``joined``."""
        call_command("migrate", verbosity=0, interactive=False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER SEQUENCE "{name}" RESTART WITH {FIRST_ID}')
        ledgers.install()
        try:
            apply_packs([shop.write_pack(self.folder / "pack")])
        except PackError as error:
            raise RuntimeError("\n".join(map(str, error.problems))) from error

    def stop(self) -> None:
        """End every process of ours, by its own number."""
        self.stop_children()
        if self.zygote is not None:
            self.zygote.communicate(timeout=10)  # its input ends, and so does it
        if self.service is not None:
            self.service.kill()
            self.service.wait()
        self.postgres.stop()
        self.valkey.stop()
        for proxy in (self.pg_proxy, self.redis_proxy, self.tool_proxy):
            proxy.stop()

    def calm(self) -> None:
        """Everything healthy again: servers up, proxies straight, no faults, breakers closed."""
        for proxy in (self.pg_proxy, self.redis_proxy, self.tool_proxy):
            proxy.calm()
        if self.postgres.poll() is not None:
            self.postgres.start()
        if self.valkey.poll() is not None:
            self.valkey.start()
        connections.close_all()
        self.faults()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM runs_breaker")

    def clear(self) -> None:
        """Forget what an earlier test left open: nobody should work on it any more."""
        self.accepted.clear()
        self.tool_proxy.arrivals.clear()
        open_states = "('accepted', 'queued', 'running', 'waiting_approval')"
        with connection.cursor() as cursor:
            for table in ("runs_step", "runs_run"):
                cursor.execute(
                    f"UPDATE {table} SET state = 'cancelled' WHERE state IN {open_states}"
                )
            cursor.execute("UPDATE approvals_approval SET state='void' WHERE state = 'pending'")

    # --- servers ----------------------------------------------------------------------------------

    def start_service(self) -> None:
        """The tool service, on its one port."""
        self._world.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "controltower.practice.world", "--domain", "retail"]
        command += ["--port", str(self.service_port), "--allow-faults"]
        command += ["--db", str(self._world.with_suffix(".sqlite"))]
        self.service = spawn(
            command,
            env={**os.environ, "TOWER_DATA": str(self.data)},
            log=self.folder / "service.log",
            cwd=settings.BASE_DIR,
        )
        address = f"http://{HERE}:{self.service_port}/healthz"
        until(lambda: _answers(address), "the tool service answers", seconds=30)

    def restart_postgres(self, down_s: float = 0.0) -> None:
        """Kill the server, wait, and start it again; it recovers from its log."""
        self.postgres.kill()
        time.sleep(down_s)
        self.postgres.start()

    def env(self, **changes: str) -> dict[str, str]:
        """What the product's processes are told."""
        tool = f"http://{HERE}:{self.tool_proxy.port}/mcp"
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "controltower.settings",
            "TOWER_ENV": "test",
            "SECRET_KEY": settings.SECRET_KEY,
            "TOWER_VAR": str(self.folder / "var"),
            "TOWER_APPROVAL_KEY_FILE": settings.APPROVAL_KEY_FILE,
            "DATABASE_URL": _through(self.postgres.url, self.pg_proxy.port),
            "REDIS_URL": _through(self.valkey.url, self.redis_proxy.port),
            "TOWER_TOOL_SERVERS": json.dumps({"retail": tool}),
            "TOWER_LEASE_SECONDS": str(self.lease_s),
            "TOWER_SWEEP_SECONDS": str(self.sweep_s),
            "TOWER_DRAIN_SECONDS": "5",
            "TOWER_QUESTIONS_PER_MINUTE": "100000",  # of one agent: all work here is its
            "TOWER_LINGER_SECONDS": "2",
            **changes,
        }

    # --- the product's processes ------------------------------------------------------------------

    def fork(
        self,
        *argv: str,
        env: dict[str, str] | None = None,
        limits: dict[str, int] | None = None,
        log: Path | None = None,
        **settings: Any,
    ) -> Child:
        """Start ``manage.py <argv>`` (or ``web <port>``) through the zygote, at once, with its own
        limits and changed settings."""
        zygote = self._zygote()
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        log = log or self._log(argv[0])
        order = {"argv": argv, "env": env or {}, "log": str(log)}
        order |= {"limits": limits or {}, "settings": settings}
        zygote.stdin.write(json.dumps(order) + "\n")
        zygote.stdin.flush()
        child = Child(argv[0], int(zygote.stdout.readline()), log)
        self.children.append(child)
        return child

    def spawn(self, *command: str, env: dict[str, str]) -> Child:
        """Start a process by itself, for what must be there before Python is (a false clock)."""
        log = self._log(Path(command[0]).name)
        process = spawn(list(command), env=env, log=log, cwd=settings.BASE_DIR)
        child = Child("spawned", process.pid, log, process)
        self.children.append(child)
        return child

    def worker(self, lane: str = "normal", **options: Any) -> Child:
        """An RQ worker of a lane. ``failpoint="after_intent:kill"`` makes its horse die there."""
        failpoint = options.pop("failpoint", "")
        env = {**options.pop("env", {}), "TOWER_FAILPOINT": failpoint}
        return self.fork("worker", "--lane", lane, env=env, **options)

    def sweeper(self) -> Child:
        return self.fork("sweep")

    def web(self, **options: Any) -> tuple[Child, str]:
        """The site; its address answers when this returns."""
        port = ports.any_free()
        url = f"http://{HERE}:{port}"
        child = self.fork("web", str(port), TOWER_ORIGIN=url, **options)
        until(lambda: _answers(f"{url}/healthz"), "the site answers", seconds=30)
        return child, url

    def stop_workers(self) -> None:
        """Kill the workers; nothing is carried out until there are new ones."""
        self.stop_children("worker")

    def stop_children(self, *names: str) -> None:
        """Kill what still runs of the product (of these names, if any are given)."""
        doomed = [c for c in self.children if not names or c.name in names]
        for child in doomed:
            for process in child.children():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            child.signal(signal.SIGKILL)
        until(lambda: not any(c.is_alive for c in doomed), "the children are gone")
        for child in doomed:
            if child.process is not None:
                child.process.wait()
        self.children = [c for c in self.children if c not in doomed]

    def _log(self, name: str) -> Path:
        self.born += 1
        return self.folder / f"{self.born:04d}-{name}.log"

    def _zygote(self) -> subprocess.Popen[str]:
        if self.zygote is None:
            with (self.folder / "zygote.log").open("ab") as log:
                self.zygote = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.zygote"],
                    cwd=settings.BASE_DIR,
                    env=self.env(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            assert self.zygote.stdout is not None
            said = self.zygote.stdout.readline()
            if said != "ready\n":
                raise RuntimeError((self.folder / "zygote.log").read_text()[-3000:])
        return self.zygote

    # --- work -------------------------------------------------------------------------------------

    def start_runs(
        self, scripts: Sequence[list[dict[str, Any]]], *, lane: str = "normal", **changes: Any
    ) -> list[UUID]:
        """Accept one run a script, each in a world of its own."""
        slug = shop.JOBS[lane]
        contract = pinned.current_contract(slug)
        agent = pinned.agent_of_kind("retail", "reference")
        cases = [
            NewRun(
                job_slug=slug,
                contract_version_id=contract.pk,
                agent_version_id=agent.pk,
                agent_kind="reference",
                agent_label="test",
                items=items,
                domain_slug="retail",
                contract_number=contract.number,
                customer="ada_byron_1",
                **{"context": {"world": f"test/{new_id()}"}, **changes},
            )
            for items in scripts
        ]
        told = start_runs(cases, actor=Actor.user("test"))
        self.accepted += told
        return told

    def start_runs_patiently(self, scripts: Sequence[list[dict[str, Any]]]) -> list[UUID]:
        """As a client does that is told to come back: until it is accepted."""
        told: list[UUID] = []

        def accepted() -> bool:
            try:
                told[:] = self.start_runs(scripts)
            except DatabaseError:
                connections.close_all()
            return bool(told)

        until(accepted, "the runs are accepted")
        return told

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """A connection of the database's owner."""
        with closing(self.postgres._admin(self.postgres.database)) as admin:
            yield admin

    def wait(
        self,
        runs: Sequence[UUID],
        states: frozenset[str] | set[str] = ENDED,
        *,
        seconds: float = 60,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Wait until all runs are in one of ``states``."""

        def there() -> bool:
            meanwhile()
            return Run.objects.filter(id__in=runs, state__in=states).count() == len(runs)

        def where() -> str:
            rows = Run.objects.filter(id__in=runs).exclude(state__in=states)
            columns = ("state", "tool_name", "attempts_made", "lease_losses", "error_class")
            steps = Step.objects.filter(run__in=rows).values_list(*columns)
            return f"{list(rows.values_list('state', 'outcome'))[:9]} {list(steps)[-9:]}"

        until(there, f"all runs are in {sorted(states)}", seconds=seconds, where=where, plant=self)

    def faults(self, *faults: dict[str, Any], seed: int = 0) -> None:
        """Replace the faults that the tool service commits."""
        self.ask("tower_faults", faults=list(faults), seed=seed)

    def fired(self) -> int:
        """How often the faults set have struck."""
        return sum(f["fired"] for f in self.ask("tower_faults")["faults"])

    def ledger(self, worlds: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The witness's own list of effects."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = self.ask("tower_ledger", after=after, limit=1000)["entries"]
            found += page
            if not page:
                break
        return found if worlds is None else [e for e in found if e["world"] in set(worlds)]

    def ask(self, tool: str, **arguments: Any) -> Any:
        """Call one of the service's ``tower_`` tools, past the proxy."""

        async def go() -> Any:
            async with ToolClient() as tools:
                return await tools.call(
                    "direct", tool, arguments, meta={}, call_id="test", timeout_s=30
                )

        answer = asyncio.run(go())
        assert answer.data is not None, answer
        return answer.data


@contextmanager
def joined(plant: Plant) -> Iterator[None]:
    """Let this process speak to the plant's servers, and put back what was there."""
    parts = urlsplit(plant.postgres.url)
    ours = {
        "HOST": parts.hostname or "",
        "PORT": str(parts.port),
        "USER": parts.username or "",
        "PASSWORD": plant.postgres.password,
        "NAME": plant.postgres.database,
    }
    known = connections.settings["default"]
    urls = {
        "retail": f"http://{HERE}:{plant.tool_proxy.port}/mcp",
        "direct": f"http://{HERE}:{plant.service_port}/mcp",
    }
    before = {k: known[k] for k in ours}, settings.TOOL_SERVERS, settings.REDIS_URL
    try:
        _point(ours, urls, plant.valkey.url)
        yield
    finally:
        _point(*before)


def _point(database: dict[str, Any], servers: dict[str, str], redis_url: str) -> None:
    connections.close_all()
    connections.settings["default"].update(database)
    settings.TOOL_SERVERS = servers
    settings.REDIS_URL = redis_url
    for queue in settings.RQ_QUEUES.values():
        queue["URL"] = redis_url
    fanout._client.cache_clear()


def until(
    is_true: Callable[[], Any],
    what: str,
    *,
    seconds: float = 60,
    every_s: float = 0.03,
    where: Callable[[], str] = lambda: "",
    plant: Plant | None = None,
) -> None:
    """Wait for something; on time-out say what was waited for, and where it stands."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            logs = "\n".join(_tails(plant)) if plant else ""
            raise NotInTimeError(f"not within {seconds:g} s: {what}. {where()}\n{logs}")
        time.sleep(every_s)


def _tails(plant: Plant) -> Iterator[str]:
    for child in plant.children[-6:]:
        with suppress(OSError):
            yield f"{child.log.name}: {child.log.read_text(errors='replace')[-800:]}"


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    auth, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{auth}@{HERE}:{port}"))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.HTTPError:
        return False
