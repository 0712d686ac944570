"""`python -m controltower.launch up|down|reset|doctor|packs`: what the Makefile calls."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Sequence

import psutil

from controltower.launch import doctor, files
from controltower.launch.places import Places, holder, is_running
from controltower.launch.ports import NoFreePortError
from controltower.launch.processes import StartError, wait_until
from controltower.launch.screen import Screen
from controltower.launch.servers import UnreachableError
from controltower.launch.tower import Tower, load_packs

STOP_SECONDS = 60
KEPT = ("postgres", "valkey", "world", "packs", "run", "log", "static", "media")
KEPT_FILES = ("*.key", "*.json", "logins.txt")


def up(places: Places, screen: Screen) -> int:
    """Start everything and stay until told to stop."""
    files.private_dir(places.var)
    tower = Tower(places, screen)
    # Somebody who only asks whether a tower runs holds the lock for a moment.
    if not wait_until(tower.lock.acquire, timeout_seconds=0.5):
        state = files.read_json(places.state)
        address = state.get("url") or "still starting"
        screen.good(f"Control Tower already runs: {address} (process {state.get('pid', '?')}).")
        screen.say("`make down` stops it; `make doctor` says how it is.")
        return 0
    try:
        return tower.serve()
    except KeyboardInterrupt:
        return 0
    except (StartError, UnreachableError, NoFreePortError) as error:
        screen.fail(str(error))
        return 1
    finally:
        tower.close()


def down(places: Places, screen: Screen) -> int:
    """Stop the running tower and wait until all of it is gone."""
    if not is_running(places):
        screen.good("Control Tower does not run.")
        return 0
    if not (pid := holder(places)):
        screen.fail(
            f"Control Tower runs, but {places.run / 'lock'} does not say as which process:"
            " press Ctrl-C where it was started."
        )
        return 1
    with screen.step("Stopping"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        gone = wait_until(
            lambda: not is_running(places), timeout_seconds=STOP_SECONDS, every_seconds=0.1
        )
        if not gone:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()
            gone = wait_until(lambda: not is_running(places), timeout_seconds=10)
    if not gone:
        screen.fail(f"Process {pid} could not be stopped.")
        return 1
    screen.say("Data is kept; `make up` goes on where it stopped.")
    return 0


def reset(places: Places, screen: Screen, *, sure: bool) -> int:
    """Delete the tower's data on this machine, after a question."""
    if os.environ.get("DATABASE_URL"):
        screen.warn("DATABASE_URL is set: that database is left alone, only files here go.")
    if not sure and not _confirmed(places):
        screen.say("Nothing was deleted.")
        return 1
    if is_running(places) and down(places, screen) != 0:
        return 1
    for name in KEPT:
        shutil.rmtree(places.var / name, ignore_errors=True)
    for pattern in KEPT_FILES:
        for path in places.var.glob(pattern):
            path.unlink(missing_ok=True)
    screen.good(f"Deleted what the tower kept in {places.var}.")
    return 0


def _confirmed(places: Places) -> bool:
    running = " It runs now and is stopped first." if is_running(places) else ""
    question = f"Delete all runs, approvals, log-ins and keys in {places.var}?{running} [y/N] "
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def packs(places: Places, screen: Screen) -> int:
    """Load the packs into the running tower again."""
    environment = files.read_json(places.environment)
    if not is_running(places) or not environment:
        screen.fail("Control Tower does not run: `make up` first.")
        return 1
    try:
        load_packs(places, screen, {**os.environ, **environment})
    except StartError as error:
        screen.fail(str(error))
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says whether all is well."""
    parser = argparse.ArgumentParser(prog="controltower.launch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "doctor", "packs"):
        commands.add_parser(name)
    commands.add_parser("reset").add_argument("--yes", action="store_true")
    options = parser.parse_args(arguments)
    places, screen = Places.from_environment(), Screen()
    # A log file takes lines at once; a terminal does already.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text stream here
    try:
        if options.command == "reset":
            return reset(places, screen, sure=options.yes)
        if options.command == "doctor":
            return doctor.examine(places, screen)
        return {"up": up, "down": down, "packs": packs}[options.command](places, screen)
    except KeyboardInterrupt:
        return 130
