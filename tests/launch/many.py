"""``python -m tests.launch.many 10``: start towers at once, each told to begin at the same ports,
and check that each came up with its own site, databases and companies.

``--light`` leaves out what takes long and proves nothing here: tables, packs, workers, cases.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from controltower.launch import files, tower
from controltower.launch.places import ROOT, Places
from controltower.launch.processes import wait_until
from controltower.launch.screen import Screen

FIRST = {"web": 18200, "postgres": 28300, "valkey": 28400, "retail": 18500, "airline": 18500}
PATIENCE_SECONDS = 1500
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "TOWER_ENV", "TOWER_ORIGIN", "TOWER_PORT")


class LightTower(tower.Tower):
    """Servers, one company's tool server and the site, and nothing that needs tables."""

    def _prepare(self) -> None:
        pass

    def _load_packs_once(self, present: list[str]) -> None:
        pass

    def _play_first_cases(self) -> None:
        pass

    def _start_work(self) -> None:
        self._start_site()


def light() -> int:
    """Be one light tower until told to stop."""
    tower.available_packs = lambda places, screen: ["retail"]  # type: ignore[assignment]
    made = LightTower(Places.from_environment(), Screen())
    assert made.lock.acquire()
    try:
        return made.serve()
    except KeyboardInterrupt:
        return 0
    finally:
        made.close()


class Started:
    """One of the towers that were started at once."""

    def __init__(self, var: Path, *, is_light: bool, environment: Mapping[str, str]) -> None:
        self.places = Places(var)
        # As if each had had these ports before, so that all want the same.
        files.write_json(self.places.state, {"ports": FIRST})
        arguments = ["tests.launch.many", "--be"] if is_light else ["controltower.launch", "up"]
        self.output = var / "up.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**environment, "TOWER_VAR": str(var)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def screen(self) -> str:
        return " ".join(self.output.read_text().split())

    @property
    def told(self) -> dict[str, str]:
        return files.read_json(self.places.environment)

    @property
    def tools(self) -> dict[str, dict[str, str]]:
        return files.read_json(self.places.tool_servers)

    @property
    def token(self) -> str:
        return self.places.key("tools").read_text().strip()

    def is_settled(self) -> bool:
        return self.process.poll() is not None or "Ctrl-C stops it" in self.screen

    def url(self) -> str:
        """What it announced."""
        found = re.search(r"Control Tower is up: (\S+)", self.screen)
        assert found is not None, self.screen
        return found.group(1)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.places.var, ignore_errors=True)


def answer(url: str, token: str = "", call: Mapping[str, object] | None = None) -> tuple[int, str]:
    """Status and body (with the header that names the tower before it) of a request."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    body = None if call is None else json.dumps(call).encode()
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as said:  # noqa: S310
            return said.status, f"{said.headers.get('Tower-Instance', '')} {said.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def tool(name: str, **arguments: object) -> dict[str, object]:
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def check(towers: Sequence[Started]) -> None:
    """Each announced what is its own; each company answers its own tower only."""
    addresses = [one.url() for one in towers]
    assert len(set(addresses)) == len(towers), addresses
    databases = [one.told["DATABASE_URL"] for one in towers]
    assert len({url.rpartition("@")[2] for url in databases}) == len(towers)
    for one, address in zip(towers, addresses, strict=True):
        mine = one.told["TOWER_INSTANCE"]
        assert answer(f"{address}/healthz")[1].split() == [mine, "ok"]
        tools = one.tools["retail"]["url"]
        assert mine in answer(tools.replace("/mcp", "/healthz"))[1]
        ledger = tool("tower_ledger")
        assert answer(tools, one.token, ledger)[0] == 200
        for other in (*(t for t in towers if t is not one), None):
            assert answer(tools, other.token if other else "", ledger)[0] == 401


def run(count: int, environment: Mapping[str, str], *, is_light: bool) -> float:
    """Start ``count`` towers at once, check them, stop them. Returns how long all took to be up."""
    with ExitStack() as stack:
        begun = time.monotonic()
        towers = []
        for _ in range(count):
            var = Path(tempfile.mkdtemp(prefix="tower-many-"))
            towers.append(Started(var, is_light=is_light, environment=environment))
            stack.callback(towers[-1].stop)
        wait_until(
            lambda: all(one.is_settled() for one in towers),
            timeout_seconds=PATIENCE_SECONDS,
            every_seconds=0.2,
        )
        took = time.monotonic() - begun
        check(towers)
        return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--be", action="store_true", help="be one of them")
    options = parser.parse_args()
    if options.be:
        return light()
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    took = run(options.count, kept, is_light=options.light)
    sys.stdout.write(f"{options.count} towers came up as themselves in {took:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
