"""Files of keys: written whole, durable before they are used, and added to without losing a line.

What a key signs or seals is committed to a database that survives a loss of power: so must it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def create(path: Path, text: str) -> None:
    """A new file, readable by its owner only, that gets its name whole and once: of two processes
    that start at once one wins. Raises ``FileExistsError`` for the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = _written(path, text)
    try:
        os.link(name, path)
    finally:
        os.unlink(name)
    _sync_folder(path)


def replace(path: Path, text: str) -> None:
    """Another file of this name, readable by its owner only, in one step."""
    os.replace(_written(path, text), path)
    _sync_folder(path)


def append(path: Path, line: str, *, mode: int = 0o600) -> None:
    """One line in one write at the end of the file, which stays its owner's: two who append at once
    don't mix. A last line that somebody left without an end is ended first, or this one would be a
    part of it. ``mode`` is of a file that isn't there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = f"{line}\n".encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            raw = b"\n" + raw
        if os.write(descriptor, raw) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(path: Path, text: str) -> str:
    """The text in a file of its own beside ``path``, to be given its name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp: 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        os.unlink(name)
        raise
    return name


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
