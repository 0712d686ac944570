"""Small files under `var/`: secrets written once, state replaced in one step, short sockets."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

# sun_path holds 108 bytes with its closing zero on Linux, 104 elsewhere.
LONGEST_SOCKET_DIR = 80


def private_dir(path: Path) -> Path:
    """Create the directory if need be, and let nobody but its owner in."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != 0o700:
        path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner alone from the first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def secret(path: Path, *, bytes_of_entropy: int = 32) -> str:
    """The secret kept in this file; made up and written (0600) the first time."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text().strip()
        if kept:
            path.chmod(0o600)
            return kept
    made = secrets.token_urlsafe(bytes_of_entropy)
    write_private(path, made + "\n")
    return made


def read_json(path: Path) -> dict[str, Any]:
    """The object kept in this file; empty when it is missing or was cut short."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the object kept in this file in one step."""
    write_private(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def socket_dir(wanted: Path) -> Path:
    """A 0700 directory whose path is short enough for a Unix socket.

    Falls back to a directory of ours in the temporary directory when `wanted` is too long, and
    refuses one that somebody else has put there.
    """
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_DIR:
        return private_dir(wanted)
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    path = Path("/tmp") / f"tower-{os.geteuid()}-{digest}"  # noqa: S108 - its owner is checked
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), nobody_uid()}:
        raise PermissionError(f"{path} belongs to somebody else; remove it and try again")
    path.chmod(0o700)
    return path


def nobody_uid() -> int:
    """The unprivileged user that servers run as when root may not make user namespaces."""
    return 65534
