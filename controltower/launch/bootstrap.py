"""Makes `.venv` and installs what is locked, with nothing but Python itself.

What `requirements*.txt` ask for, and all that those need, stands in `deploy/locks/` with versions
and hashes (`make lock` writes it). Nothing else is installed, and no file that has another hash.
Run as a file by the interpreter of the machine: it may import nothing that is not in the
standard library, and nothing of ours. A stamp of the locks makes the second run free.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("TOWER_VENV") or ROOT / ".venv")
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
# Only for machines whose Python has neither ensurepip nor pip (Debian without python3-venv).
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
SETS = {
    "base": ("base.txt",),
    "dev": ("dev.txt", "model.txt"),
    "local": ("local.txt", "model.txt"),
}


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this file has no other way to speak


def locks_of(name: str) -> list[Path]:
    return [ROOT / "deploy" / "locks" / file for file in SETS[name]]


def fingerprint(name: str) -> str:
    """What the installed set depends on: its locks and the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    for lock in locks_of(name):
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def stamp_of(name: str) -> Path:
    return VENV / f".installed-{name}"


def is_current(name: str) -> bool:
    """Whether this set was installed from just these locks."""
    try:
        return PYTHON.exists() and stamp_of(name).read_text() == fingerprint(name)
    except FileNotFoundError:
        return False


def make_venv() -> None:
    """Create the virtual environment by whichever way this machine offers."""
    if PYTHON.exists() and works([str(PYTHON), "-m", "pip", "--version"]):
        return
    say(f"Making {VENV.name} with Python {sys.version.split()[0]} …")
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is not None and works(
        [sys.executable, "-m", "venv", str(VENV)]
    ):
        return
    run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
    install_pip()


def install_pip() -> None:
    """Fetch the pinned pip wheel and let it install itself."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    page_url = f"{index}/pip/"
    advice = "install your system's venv package (Debian: apt-get install python3-venv)"
    try:
        page = download(page_url).decode(errors="replace")
        found = re.search(rf'href="([^"#]*{re.escape(PIP_WHEEL)})', page)
        if found is None:
            raise SetupError(f"{page_url} has no {PIP_WHEEL}; {advice} and try again.")
        wheel = download(urllib.parse.urljoin(page_url, found.group(1)))
    except OSError as error:
        raise SetupError(f"pip cannot be fetched from {index} ({error}); {advice}.") from error
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        raise SetupError(f"{PIP_WHEEL} from {index} is not the expected file; {advice}.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PIP_WHEEL
        path.write_bytes(wheel)
        run([str(PYTHON), f"{path}/pip", "install", "-q", "--no-index", "--no-deps", str(path)])


def download(url: str) -> bytes:
    if not url.startswith("https://"):
        raise SetupError(f"refusing to fetch {url}: not https")
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - https only, see above
        content: bytes = answer.read()
        return content


def works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def install(name: str) -> None:
    """Install one set, showing which package is on; the log is printed when it fails."""
    if is_current(name):
        return
    say("Installing what deploy/locks names (once; one to three minutes) …")
    started = time.monotonic()
    for lock in locks_of(name):
        # Whatever a package asks for stands in the lock too: nothing is left to be resolved.
        pip_install(["--require-hashes", "--no-deps", "-r", str(lock)])
    stamp_of(name).write_text(fingerprint(name))
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def pip_install(arguments: list[str]) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603
        [*command, "--progress-bar", "off", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            show(line, count=sum(1 for seen in lines if seen.startswith("Collecting ")))
    clear_line()
    if pip.returncode != 0:
        say("".join(lines[-40:]))
        raise SetupError("pip could not install the requirements; see its last lines above.")


def show(line: str, *, count: int) -> None:
    """One moving line on a terminal, one line in twenty packages elsewhere."""
    if line.startswith("Collecting "):
        text = f"  {count} packages found: {line.split()[1]}"
    elif line.startswith("Installing collected packages"):
        text = f"  writing {line.count(',') + 1} packages to {VENV.name} …"
    else:
        return
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r" + text[:width].ljust(width))
        sys.stdout.flush()
    elif count % 20 == 0 or line.startswith("Installing"):
        say(text)


def clear_line() -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv and install what the tower needs.")
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--local", action="store_true", help="also a small model on this machine")
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        say(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}.")
        return 2
    wanted = ["dev" if options.dev else "base", *(["local"] if options.local else [])]
    if not options.dev and is_current("dev"):
        wanted.clear()  # the development set holds everything of the others
    try:
        if not all(is_current(name) for name in wanted):
            make_venv()
        for name in wanted:
            install(name)
    except SetupError as error:
        say(f"Set-up stopped: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nSet-up was interrupted; run the same command again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
